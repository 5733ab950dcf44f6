"""The whole way through TLS."""

import datetime
import ipaddress
import ssl

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.functional.chat.talking import contents, say_id

DAY = datetime.timedelta(days=1)


@pytest.fixture
def certificate(tmp_path):
    """Files with a key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fastchat")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_file, certificate_file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(signed.public_bytes(pem))
    return {"TLS_KEY": str(key_file), "TLS_CERT": str(certificate_file)}


async def test_two_users_talk_over_tls(start_chat, certificate):
    chat = await start_chat(**certificate)
    trust = ssl.create_default_context(cafile=certificate["TLS_CERT"])
    assert chat.url.startswith("wss://")
    alice, bob = await chat.join(1, ssl=trust), await chat.join(2, ssl=trust)
    texts = [str(number) * 5000 for number in range(10)]
    for text in texts:
        await say_id(alice, "2", text)
        assert (await bob.expect("new_private_message"))["message"]["content"] == text
    assert await contents(bob, "1") == texts
    async with aiohttp.ClientSession() as http:
        url = chat.url.replace("wss", "https") + "/health"
        async with http.get(url, ssl=trust) as response:
            assert (await response.json())["status"] == "healthy"


async def test_a_tls_port_does_not_speak_plainly(start_chat, certificate):
    chat = await start_chat(**certificate)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"{chat.http_url}/health")
