"""TLS to the database: encrypted always, verified when there is a certificate to verify with."""

import asyncio
import datetime
import ipaddress
import ssl
from contextlib import asynccontextmanager
from urllib.parse import urlencode, urlsplit

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fastchat.store.connect import connect_arguments, warn_of_unverified_server

PATIENCE = 10.0
SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # PostgreSQL, "Message Formats", SSLRequest


def certificate(folder, name):
    """Write a certificate for 127.0.0.1 that signs itself; return it and its key as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@asynccontextmanager
async def encrypting(dsn, certificate_file, key_file):
    """Put TLS in front of a server that has none; yield the address to use instead."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    target = urlsplit(dsn)
    tasks = set()

    async def copy(reader, writer):
        try:
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
        except OSError:
            pass  # the other side hung up
        finally:
            writer.transport.abort()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        server_writer = None
        try:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S")
            await writer.start_tls(context)
            server_reader, server_writer = await asyncio.open_connection(
                target.hostname, target.port
            )
            await asyncio.gather(copy(reader, server_writer), copy(server_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client did not like the certificate
        finally:
            writer.transport.abort()
            if server_writer is not None:
                server_writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield target._replace(netloc=f"{target.netloc.rpartition(':')[0]}:{port}").geturl()
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(**settings):
    async with asyncio.timeout(PATIENCE):
        connection = await asyncpg.connect(**connect_arguments(**settings))
        try:
            return await connection.fetchval("SHOW application_name")
        finally:
            connection.terminate()


async def test_encrypts_without_a_certificate_to_verify_with(database, tmp_path):
    async with encrypting(database, *certificate(tmp_path, "server")) as address:
        assert await ask(dsn=address, ssl=True) == "fastchat"


async def test_accepts_the_server_whose_certificate_it_was_given(database, tmp_path):
    files = certificate(tmp_path, "server")
    async with encrypting(database, *files) as address:
        assert await ask(dsn=address, ssl=True, ca_file=str(files[0])) == "fastchat"


async def test_refuses_a_server_with_another_certificate(database, tmp_path):
    other, _ = certificate(tmp_path, "other")
    async with encrypting(database, *certificate(tmp_path, "server")) as address:
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(dsn=address, ssl=True, ca_file=str(other))


async def test_refuses_a_server_that_does_not_encrypt(database):
    with pytest.raises(ConnectionError, match="rejected SSL"):
        await ask(dsn=database, ssl=True)


async def test_single_values_reach_the_same_database_as_the_address(database):
    parts = urlsplit(database)
    settings = {
        "host": parts.hostname,
        "port": parts.port,
        "name": parts.path[1:],
        "user": parts.username,
        "password": parts.password,
    }
    assert await ask(**settings, ssl=False) == "fastchat"


async def test_errors_do_not_contain_the_password(database):
    secret = "not-the-password-4d20"
    parts = urlsplit(database)
    address = parts._replace(
        netloc=f"{parts.username}:{secret}@{parts.hostname}:{parts.port}"
    ).geturl()
    with pytest.raises(asyncpg.InvalidPasswordError) as caught:
        await ask(dsn=address, ssl=False)
    assert secret not in repr(caught.value) + str(caught.value)


def with_parameters(address, **parameters):
    return f"{address}?{urlencode(parameters)}"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_an_address_that_allows_no_tls_reaches_a_server_without_it(database, mode):
    assert await ask(dsn=with_parameters(database, sslmode=mode), ssl=True) == "fastchat"


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_an_address_that_wants_tls_is_not_overruled(database, tmp_path, mode):
    file, _ = certificate(tmp_path, "server")
    address = with_parameters(database, sslmode=mode, sslrootcert=file)
    with pytest.raises(ConnectionError, match="rejected SSL"):
        await ask(dsn=address, ssl=False)


@pytest.mark.parametrize(
    ("mode", "host", "is_known", "is_accepted"),
    [
        ("prefer", "127.0.0.1", False, True),
        ("require", "127.0.0.1", False, True),
        ("verify-ca", "127.0.0.1", False, False),
        ("verify-ca", "127.0.0.1", True, True),
        ("verify-ca", "localhost", True, True),
        ("verify-full", "127.0.0.1", False, False),
        ("verify-full", "127.0.0.1", True, True),
        ("verify-full", "localhost", True, False),
    ],
)
async def test_an_address_says_how_far_its_server_is_verified(
    database, tmp_path, mode, host, is_known, is_accepted
):
    files = certificate(tmp_path, "server")
    known, _ = files if is_known else certificate(tmp_path, "other")
    async with encrypting(database, *files) as address:
        address = with_parameters(address.replace("127.0.0.1", host), sslmode=mode)
        # libpq verifies with `require` too where there is a certificate to verify with.
        ca_file = str(known) if mode.startswith("verify") else ""
        if is_accepted:
            assert await ask(dsn=address, ssl=False, ca_file=ca_file) == "fastchat"
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                await ask(dsn=address, ssl=False, ca_file=ca_file)


async def test_the_certificate_of_the_address_is_used_without_a_mode(database, tmp_path):
    files = certificate(tmp_path, "server")
    other, _ = certificate(tmp_path, "other")
    async with encrypting(database, *files) as address:
        good, bad = (with_parameters(address, sslrootcert=file) for file in (files[0], other))
        assert await ask(dsn=good, ssl=True) == "fastchat"
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(dsn=bad, ssl=True, ca_file=str(files[0]))


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"ssl": False}, ""),
        ({"ssl": True, "ca_file": "/ca.crt"}, ""),
        ({"ssl": True}, "not verified"),
        ({"ssl": True, "dsn": "postgresql://h/d?sslmode=disable"}, ""),
        ({"ssl": False, "dsn": "postgresql://h/d?sslmode=require"}, "not verified"),
        ({"ssl": True, "dsn": "postgresql://h/d?sslmode=prefer"}, "may be unencrypted"),
        ({"ssl": True, "dsn": "postgresql://h/d?sslmode=verify-full"}, ""),
        ({"ssl": True, "dsn": "postgresql://h/d?sslrootcert=/ca.crt"}, ""),
    ],
)
def test_says_what_the_connection_does_not_protect_from(caplog, settings, warning):
    warn_of_unverified_server(**settings)
    assert len(caplog.records) == bool(warning)
    assert warning in caplog.text
