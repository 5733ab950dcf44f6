"""What a newcomer does: start the server, and chat in two terminals, as real processes."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.functional.client import ChatClient
from tests.functional.store.folders import public_folder

PATIENCE = 30.0  # seconds; a bound on every wait
KEPT = ("PATH", "LANG", "LC_ALL", "FASTCHAT_NO_EXTENSIONS")


class Program:
    """One running ``fastchat`` command, read line by line."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    async def read_until(self, text):
        """Read until a line holds the text, and return that line."""
        try:
            async with asyncio.timeout(PATIENCE):
                while line := (await self.process.stdout.readline()).decode():
                    self.lines.append(line.rstrip("\n"))
                    if text in line:
                        return self.lines[-1]
        except TimeoutError:
            pass
        raise AssertionError(f"no {text!r} in {self.lines}")

    def type(self, text):
        self.process.stdin.write(text.encode())

    async def end(self, number=None):
        """End the input, or send a signal; return the exit code."""
        if number is None:
            self.process.stdin.close()
        else:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            rest, _ = await asyncio.gather(self.process.stdout.read(), self.process.wait())
        self.lines += rest.decode().splitlines()
        return self.process.returncode


@pytest.fixture
async def start():
    """Start commands in one data directory; whatever still runs is killed at the end."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(public_folder())
        environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        environ |= {"FASTCHAT_DATA_DIR": str(folder / "data"), "PYTHONIOENCODING": "utf-8"}

        @asynccontextmanager
        async def running(arguments, settings):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fastchat", *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environ | settings,
            )
            try:
                yield Program(process)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.communicate()

        async def start(*arguments, **settings):
            return await stack.enter_async_context(running(arguments, settings))

        yield start


async def serve(start, port=0):
    """Start a development server; return it and its URL once it says that it is ready."""
    server = await start("serve", NODE_ENV="development", HOST="127.0.0.1", PORT=str(port))
    url = (await server.read_until("development mode: ")).split()[3]
    await server.read_until('bob: {"type"')
    return server, url


async def test_two_terminals_chat_and_outlive_a_restart_of_the_server(start):
    server, url = await serve(start)
    bob = await start("chat", "--as", "bob", "--to", "alice", "--url", url)
    await bob.read_until("You chat with Alice Archer")
    alice = await start("chat", "--as", "alice", "--to", "bob", "--url", url)
    alice.type("hello bob\n")
    assert await alice.end() == 0
    assert any("✓ hello bob" in line for line in alice.lines)
    await bob.read_until("Alice Archer: hello bob")

    assert await server.end(signal.SIGTERM) == 0
    assert not any("WARNING" in line and "had ended" in line for line in server.lines)
    await bob.read_until("trying to connect again")
    bob.type("are you there?\n")
    server, _ = await serve(start, port=int(url.rpartition(":")[2]))
    await bob.read_until("✓ are you there?")
    assert await bob.end() == 0

    alice = await start("chat", "--as", "alice", "--to", "bob", "--url", url)
    assert await alice.end() == 0
    shown = [line.split(" ", 1)[1] for line in alice.lines[:2]]
    assert shown == ["✓ hello bob", "Bob Baker: are you there?"]
    assert await server.end(signal.SIGINT) == 0


async def test_the_tokens_and_the_health_page_of_the_banner_work(start):
    server, url = await serve(start)
    (line,) = [line for line in server.lines if line.startswith("  alice: ")]
    token = json.loads(line.removeprefix("  alice: "))["token"]
    async with await ChatClient.connect(url, token) as client:
        assert client.user["username"] == "alice"
    health = next(line for line in server.lines if "health: " in line).rpartition(" ")[2]
    body = await asyncio.to_thread(lambda: urllib.request.urlopen(health, timeout=5).read())
    assert json.loads(body)["status"] == "healthy"
    assert await server.end(signal.SIGTERM) == 0


async def test_the_link_to_the_page_leads_to_it_and_its_key_to_two_users(start):
    server, _ = await serve(start)
    link = next(line for line in server.lines if "browser: " in line).rpartition(" ")[2]
    page, _, key = link.partition("#")

    def fetch(url, body=None):
        with urllib.request.urlopen(url, data=body, timeout=5) as answer:
            return answer.read()

    assert b'src="/demo/app.js"' in await asyncio.to_thread(fetch, page)
    body = json.dumps({"key": key}).encode()
    users = json.loads(await asyncio.to_thread(fetch, f"{page}/tokens", body))["users"]
    assert [user["username"] for user in users[:2]] == ["alice", "bob"]
    assert await server.end(signal.SIGTERM) == 0


async def test_a_port_that_is_taken_stops_the_start_with_one_sentence(start):
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        server = await start("serve", NODE_ENV="development", HOST="127.0.0.1", PORT=str(port))
        assert await server.end() == 1
    assert f"PORT={port}" in server.lines[-1]
    assert not any("Traceback" in line for line in server.lines)


async def test_a_name_that_nobody_has_is_told_and_ends_the_chat(start):
    server, url = await serve(start)
    alice = await start("chat", "--as", "alice", "--to", "nobody", "--url", url)
    assert await alice.end() == 1
    assert any(line.startswith("! ") for line in alice.lines), alice.lines
    stranger = await start("chat", "--as", "4711", "--to", "bob", "--url", url)
    assert await stranger.end() == 1
    assert await server.end(signal.SIGTERM) == 0
