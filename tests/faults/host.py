"""One ``fastchat serve`` as a process, with its workers."""

import asyncio
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastchat.store.embedded import DATABASE, ROLE, free_port
from tests.functional.failure.process import KEPT, PATIENCE, SETTINGS, is_alive, until

MANY = "100000000"
OWN_SETTINGS = {
    "NODE_ENV": "production",
    "MAX_CONNECTIONS": "10000",
    "MAX_CONNECTIONS_PER_IP": "10000",
    "IP_RATE_LIMIT": MANY,
    "MESSAGE_RATE_LIMIT": MANY,
    "COMMAND_RATE_LIMIT": MANY,
    "DB_MAX_CONNECTIONS": "24",
    "SHUTDOWN_TIMEOUT": "5000",  # a rolling restart takes as long for each worker
}
PAUSE = 0.1  # seconds before it is started once more
SHOWN = 4000  # bytes of the log in an error
POSTGRES = "postgres"
ROLLED = ("the rolling restart is over", "the rolling restart was given up")


class Clock:
    """The wall clock of a host, which can be set."""

    def __init__(self, folder: Path) -> None:
        """Compile what shifts it."""
        self._library = folder / "clock.so"
        self._offset = folder / "clock.offset"
        source = Path(__file__).with_name("clock.c")
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        self._offset.write_bytes(struct.pack("d", 0.0))
        with self._offset.open("r+b") as file:
            self._mapping = mmap.mmap(file.fileno(), 8)

    @property
    def environ(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CLOCK_OFFSET": str(self._offset)}

    def set(self, offset: float) -> None:
        """Let it be wrong by so many seconds from now on."""
        self._mapping[:] = struct.pack("d", offset)


class Host:
    """A server at the same address for ever, however often it is started."""

    def __init__(self, folder: Path, workers: int, **settings: str) -> None:
        """Take a folder of its own; it is made."""
        folder.mkdir()
        self.workers = workers
        self._data_dir = folder / "data"
        self.port = free_port()
        self.clock = Clock(folder)
        self._log = folder / "server.log"
        self._read_up_to = 0
        self._environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._environ |= SETTINGS | OWN_SETTINGS | self.clock.environ | settings
        self._environ |= {"PORT": str(self.port), "WEB_CONCURRENCY": str(workers)}
        self._environ |= {"FASTCHAT_DATA_DIR": str(self._data_dir)}
        self._process: asyncio.subprocess.Process | None = None
        self._rolls = 0
        self._listens = 0
        self.bugs: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the server and wait until it listens; again, if it ends for want of a database."""
        async with asyncio.timeout(2 * PATIENCE):
            while not await self._start():
                await asyncio.sleep(PAUSE)

    async def _start(self) -> bool:
        known = self._listens
        # It ends with whoever runs the rig.
        command = ["setpriv", "--pdeathsig=KILL", sys.executable, "-m", "fastchat", "serve"]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )

        def listens() -> bool:
            self.read_log()
            return self._listens > known

        process = self._process
        with suppress(AssertionError):
            await until(lambda: process.returncode is not None or listens())
        said = self._log.read_text("utf-8")[-SHOWN:]
        assert self._listens > known or process.returncode is not None, f"does not start: {said}"
        assert process.returncode is None or "database" in said, said
        return process.returncode is None

    def worker_pids(self) -> list[int]:
        """Return the processes of the workers, in ascending order."""
        return [pid for pid in self._children() if name_of(pid) != POSTGRES]

    def embedded_dsn(self) -> str:
        """Return the address of the embedded database, where there is one."""
        (pid,) = [pid for pid in self._children() if name_of(pid) == POSTGRES]
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        (port,) = [word.partition("=")[2] for word in words if word.startswith("--port=")]
        password = (self._data_dir / "postgres.password").read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}"

    def _children(self) -> list[int]:
        found: set[int] = set()
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                found.update(map(int, children.read_text().split()))
        return sorted(filter(is_alive, found))

    async def complete(self) -> None:
        """Wait until there are as many workers as there should be."""
        await until(lambda: len(self.worker_pids()) >= self.workers)

    async def kill(self) -> None:
        """End the supervisor without a warning, and wait until all its processes have gone."""
        process, children = self._process, self._children()
        assert process is not None
        process.kill()
        async with asyncio.timeout(PATIENCE):
            await process.wait()
        await until(lambda: not any(map(is_alive, children)))

    async def stop(self) -> None:
        """Let it drain and end."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            await self.kill()
        self.read_log()

    async def roll(self) -> None:
        """Replace all workers, one after the other, and wait until that is over."""
        self.read_log()
        known = self._rolls
        os.kill(self.pid, signal.SIGHUP)

        def has_rolled() -> bool:
            self.read_log()
            return self._rolls > known

        await until(has_rolled, 2 * PATIENCE)

    def read_log(self) -> None:
        """Take note of what the server has written since the last time."""
        with self._log.open("rb") as log:
            log.seek(self._read_up_to)
            text = log.read()
        end = text.rfind(b"\n") + 1
        self._read_up_to += end
        for line in text[:end].splitlines():
            event = json.loads(line)
            message = str(event["message"])
            self._listens += message.startswith("listening")
            self._rolls += message.startswith(ROLLED)
            if (
                "exception" in event
                or event["logger"] in ("asyncio", "py.warnings")
                or message.startswith(("a command failed with", "a batch failed by"))
            ):
                self.bugs.append(event)


def name_of(pid: int) -> str:
    """Return what a process runs; empty when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
