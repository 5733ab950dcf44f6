"""The whole server as a process: started, killed, told to stop, and read by its log."""

import asyncio
import base64
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fastchat.auth.tokens import make_token
from tests.functional.client import ChatClient

PATIENCE = 30.0  # seconds; a bound on every wait
POLL = 0.02  # seconds
KEPT = ("PATH", "LANG", "LC_ALL", "FASTCHAT_NO_EXTENSIONS")

SECRET = bytes(range(64))
ENCRYPTION_KEY = "EncryptionKeyOfTheFailureTests-1"
SETTINGS = {
    "HOST": "127.0.0.1",
    "PORT": "0",
    "DB_SSL": "false",
    "JWT_SECRET": base64.b64encode(SECRET).decode(),
    "CHAT_ENCRYPTION_KEY": ENCRYPTION_KEY,
    "LOG_FORMAT": "json",
    "MAX_CONNECTIONS": "1000",
    "MAX_CONNECTIONS_PER_IP": "1000",
    "IP_RATE_LIMIT": "100000",
    "MESSAGE_RATE_LIMIT": "1000000",
    "COMMAND_RATE_LIMIT": "1000000",
    "PRESENCE_SCOPE": "none",
    "PYTHONWARNINGS": "always",
}


class ServerProcess:
    """One ``fastchat serve`` after the other, all with the same settings and one log."""

    command = (sys.executable, "-m", "fastchat", "serve")

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.url = ""
        self._log = folder / "server.log"
        self._environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environ |= SETTINGS | {"FASTCHAT_DATA_DIR": str(folder / "data")} | settings
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the server and wait until it listens."""
        known = len(self.events("listening"))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                env=self._environ,
            )
        await until(lambda: not self.is_running or len(self.events("listening")) > known)
        assert self.is_running, self._log.read_text()
        self.url = str(self.events("listening")[-1]["url"])

    async def kill(self) -> None:
        """End the server as a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self.ended()

    def terminate(self) -> None:
        """Ask the server to drain and end."""
        assert self._process is not None
        self._process.terminate()

    async def ended(self) -> int:
        """Wait for the end of the process and return its exit code."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()

    async def close(self) -> None:
        """End it and its database, whatever state they are in."""
        database = self.postgres_pid() if self.is_running else 0
        if self.is_running:
            await self.kill()
        if database:
            await until(lambda: not is_alive(database))

    def postgres_pid(self) -> int:
        """Return the process id of the embedded database, 0 while it does not run."""
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in map(int, children.read_text().split()):
                    if Path(f"/proc/{child}/comm").read_text() == "postgres\n" and is_alive(child):
                        return child
        return 0

    def lines(self) -> list[str]:
        """Return the finished lines of the log."""
        text = self._log.read_text("utf-8") if self._log.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def events(self, message: str = "") -> list[dict[str, object]]:
        """Return the events of the log whose message begins so."""
        events = [json.loads(line) for line in self.lines()]
        return [event for event in events if event["message"].startswith(message)]

    def bugs(self) -> list[dict[str, object]]:
        """Return the events that only a mistake in the server causes."""
        return [
            event
            for event in self.events()
            if "exception" in event
            or event["logger"] in ("asyncio", "py.warnings")
            or str(event["message"]).startswith(("a command failed with", "a batch failed by"))
        ]

    async def status(self, path: str) -> int:
        """Return the HTTP status of a page."""
        return (await self.get(path))[0]

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return the HTTP status and the body of a page."""
        return await asyncio.to_thread(_fetch, "http" + self.url.removeprefix("ws") + path)

    async def until_ready(self, status: int = 200) -> None:
        """Wait until ``/ready`` answers with a status."""
        end = time.monotonic() + PATIENCE
        while (found := await self.status("/ready")) != status:
            assert time.monotonic() < end, f"/ready still answers {found}"
            await asyncio.sleep(POLL)

    async def join(self, user_id: int | str) -> ChatClient:
        """Return a client that is logged in."""
        return await ChatClient.connect(self.url, token(user_id))


def token(user_id: int | str, expires_in: float = 3600.0) -> str:
    return make_token(SECRET, str(user_id), expires_in)


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not so within {patience:g} s"
        await asyncio.sleep(POLL)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits for its parent to take note does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
