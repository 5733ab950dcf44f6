"""The port over TLS."""

import asyncio
import datetime
import gc
import ssl
from time import monotonic

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fastchat.transport.http import HttpResponse
from fastchat.transport.port import make_tls_context
from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import upgrade_head


def certificate(name, issuer=None):
    """A key and a certificate; without issuer an authority's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer_certificate = issuer or (key, None)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_certificate.subject if issuer_certificate else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.BasicConstraints(ca=name != "localhost", path_length=None), critical=True
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    )
    return key, builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    """Files of a root, an authority below it, and a certificate of that one for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    root = certificate("root")
    middle = certificate("middle", root)
    leaf = certificate("localhost", middle)
    for name, (_, made) in {"root": root, "middle": middle, "leaf": leaf}.items():
        folder.joinpath(name).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    folder.joinpath("key").write_bytes(
        leaf[0].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


@pytest.fixture
def tls(pems):
    return make_tls_context(str(pems / "key"), str(pems / "leaf"), str(pems / "middle"))


@pytest.fixture
def trusting(pems):
    return ssl.create_default_context(cafile=str(pems / "root"))


async def open_tls(server, context, **headers):
    """A stream over TLS whose upgrade was accepted."""
    async with asyncio.timeout(5.0):
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=context)
        writer.write(upgrade_head(**headers))
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_client_that_trusts_the_root_only_gets_the_whole_chain_and_talks(
    server, tls, trusting
):
    await server.echo().start(tls=tls)
    async with websockets.connect(server.url, ssl=trusting) as client:
        for text in ("hello", "x" * 1_000_000, ""):
            await client.send(text)
            assert await client.recv() == text
    await server.all_closed()


async def test_without_the_authority_file_the_chain_is_not_complete(server, pems, trusting):
    await server.start(tls=make_tls_context(str(pems / "key"), str(pems / "leaf")))
    with pytest.raises(ssl.SSLCertVerificationError):
        async with websockets.connect(server.url, ssl=trusting):
            pass


async def test_old_versions_of_tls_are_refused(tls):
    assert tls.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_http_works_over_tls_too(server, tls, trusting):
    page = {"/page": {"GET": lambda request: HttpResponse(body=request.remote_ip.encode())}}
    await server.start(routes=page, tls=tls)
    async with asyncio.timeout(5.0):
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=trusting)
        writer.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"127.0.0.1")


async def test_peer_that_does_not_finish_its_tls_handshake_is_dropped(server, tls):
    await server.start(tls=tls, options={"head_timeout": 0.1})
    client = await server.connect()
    await client.send(b"\x16\x03\x01")
    await client.expect_end()
    assert not server.listener.heads


async def test_handshake_under_way_when_the_port_closes_is_finished(server, tls, trusting):
    await server.start(tls=tls)
    reader, writer = await asyncio.open_connection("localhost", server.port)
    await until(lambda: server.listener._handshakes)
    server.listener.close_accepting()
    draining = asyncio.create_task(server.listener.drain_heads(5.0))
    async with asyncio.timeout(5.0):
        await writer.start_tls(trusting, server_hostname="localhost")
        writer.write(upgrade_head())
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
        await draining
    assert len(server.opened) == 1
    writer.transport.abort()


async def test_handshake_that_failed_does_not_delay_the_end(server, tls):
    gc.freeze()  # what other tests left need not be looked at, over and over
    await server.start(tls=tls)
    for _ in range(5):
        client = await server.connect()
        await client.send(b"no TLS at all, of course" * 10)
        await client.expect_end()
    leaver = await server.connect()
    await until(lambda: server.listener._handshakes)
    leaver.close()
    draining = asyncio.create_task(server.listener.drain_heads(5.0))
    async with asyncio.timeout(2.0):
        while not draining.done():
            # asyncio's own loop, which only tests use, leaves them in a cycle.
            gc.collect()
            await asyncio.sleep(0.01)
    gc.unfreeze()


async def test_frames_of_one_turn_arrive_in_order_over_tls(server, tls, trusting):
    await server.start(tls=tls)
    async with websockets.connect(server.url, ssl=trusting) as client:
        await until(lambda: server.opened)
        for number in range(200):
            server.connection.send(b"%d" % number)
        assert [await client.recv() for _ in range(200)] == [str(n) for n in range(200)]


async def test_slow_reader_over_tls_is_closed_with_1013_and_freed(server, tls, trusting):
    await server.start(tls=tls)
    _, writer = await open_tls(server, trusting)
    writer.transport.pause_reading()
    for _ in range(200):
        server.connection.send(b"x" * 50_000)
        await asyncio.sleep(0)
        if not server.connection.is_open:
            break
    assert server.endpoint.slow_consumers == 1
    assert server.connection.backlog < 1024 * 1024
    server.endpoint.sweep(monotonic() + 3)
    await server.all_closed()
    writer.transport.abort()


async def test_violation_over_tls_is_told_and_the_peer_that_stays_is_dropped(server, tls, trusting):
    await server.start(tls=tls)
    reader, writer = await open_tls(server, trusting)
    writer.write(b"\x83\x80\x00\x00\x00\x00")
    async with asyncio.timeout(5.0):
        assert (await reader.readexactly(4))[2:] == (1002).to_bytes(2, "big")
    server.endpoint.sweep(monotonic() + 3)
    await server.all_closed()
    writer.transport.abort()


async def test_stop_over_tls_is_bounded_although_peers_do_not_read(server, tls, trusting):
    await server.start(tls=tls)
    _, writer = await open_tls(server, trusting)
    writer.transport.pause_reading()
    server.connection.send(b"x" * 10_000_000)
    async with asyncio.timeout(3.0):
        await server.listener.stop(1001, "Server shutting down", timeout=0.1)
    await server.all_closed()
    writer.transport.abort()
