"""The whole way through TLS."""

import asyncio
import os
import ssl
import sys

import aiohttp
import pytest

from tests.functional.certificates import make_certificate
from tests.functional.chat.talking import contents, say_id
from tests.source.test_documents import ROOT

CHECK = ROOT / "deploy" / "docker" / "live.py"


@pytest.fixture
def certificate(tmp_path):
    return make_certificate(tmp_path)


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


async def is_live(port, **environ):
    """Run the health check of the image."""
    check = await asyncio.create_subprocess_exec(
        sys.executable,
        CHECK,
        env={"PATH": os.environ["PATH"], "PORT": str(port), **environ},
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(20):
        return await check.wait() == 0


async def test_the_health_check_of_the_image_speaks_as_the_server_does(start_chat, certificate):
    secret, plain = await start_chat(**certificate), await start_chat()
    for port, settings, expected in [
        (secret.server.port, certificate, True),
        (plain.server.port, {}, True),
        (plain.server.port, certificate, False),
    ]:
        assert await is_live(port, **settings) is expected
