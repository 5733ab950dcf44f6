"""Try on this machine what is in this folder: ``make rehearse``.

A server of development is started on the loopback, and nginx, HAProxy and Prometheus in front of
it, each with the file that is here; only addresses are replaced. Two users chat through the
proxies, and every query of the dashboard and every alert is evaluated by Prometheus itself. The
chart is linted and rendered by helm, the unit is looked at by systemd. One line for each; the exit
code is 1 when something failed or could not be tried.
"""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.functional.client import ChatClient

HERE = Path(__file__).resolve().parent
FASTCHAT = str(Path(sys.executable).with_name("fastchat"))
PATIENCE = 60.0  # seconds that anything may take to start
CLIENT = "127.0.0.2"  # from where users come; another address than the proxies'
INTERVAL = 1  # seconds between two scrapes
RANGE = "10s"  # in place of the interval that Grafana would fill in
NGINX = """
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include {included};
}}
"""


class Failed(Exception):
    """Something is not as it should be."""


def expect(condition: object, what: str) -> None:
    """Fail unless something is so."""
    if not condition:
        raise Failed(what)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Return status and body of a page."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def ask(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Like ``get``, without holding up the event loop."""
    return await asyncio.to_thread(get, url, headers)


@asynccontextmanager
async def running(ready: str, *command: str, **options: object) -> AsyncIterator[None]:
    """Run a program around a block, which begins when a page of it answers 200."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, **options
    )
    assert process.stderr is not None
    said = asyncio.create_task(process.stderr.read())
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                if process.returncode is not None:
                    raise Failed(f"{command[0]} ended: {(await said).decode()[-2000:]}")
                try:
                    if (await ask(ready))[0] == 200:
                        break
                except OSError:
                    pass
                await asyncio.sleep(0.1)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await said


class Chat:
    """The server behind everything."""

    def __init__(self, folder: Path) -> None:
        """Choose a port and a folder for its database."""
        self.port = free_port()
        self.environment = os.environ | {
            "NODE_ENV": "development",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "TRUSTED_PROXIES": "127.0.0.1/32",
            "FASTCHAT_DATA_DIR": str(folder),
            "OFFLINE_GRACE_PERIOD_MS": "0",
        }
        self.url = f"http://127.0.0.1:{self.port}"

    def token(self, *arguments: str) -> str:
        """Return a token."""
        made = subprocess.run(
            [FASTCHAT, "gentoken", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout.strip()

    async def chat(self, port: int) -> None:
        """Let two users chat by way of a port, and look at what a proxy made of their address."""
        headers = {"X-Forwarded-For": "203.0.113.9", "Origin": "http://chat.example.com"}
        options = {"local_addr": (CLIENT, 0), "additional_headers": headers}
        url = f"ws://127.0.0.1:{port}/"
        async with (
            await ChatClient.connect(url, self.token("--user", "1"), **options) as alice,
            await ChatClient.connect(url, self.token("--user", "2"), **options) as bob,
        ):
            text = "through the proxy " + "x" * 5000
            await alice.request(type="send_private_message", recipientId="2", content=text)
            received = await bob.expect("new_private_message")
            expect(received["message"]["content"] == text, "a message came through changed")
            status, body = await ask(
                f"{self.url}/api/service/connections?userId=1",
                {"Authorization": f"Bearer {self.token('--service')}"},
            )
            expect(status == 200, f"connections: status {status}")
            found = {one["remoteIp"] for one in json.loads(body)["connections"]}
            expect(found == {CLIENT}, f"users seem to come from {found}, expected {CLIENT}")
        base = f"http://127.0.0.1:{port}"
        for path, expected in (
            ("/health", 200),
            ("/metrics", 404),
            ("/metrics/prometheus", 404),
            ("/api/service/connections?userId=1", 404),
            ("/api/conversations", 401),
        ):
            status, _ = await ask(base + path)
            expect(status == expected, f"{path}: status {status}, expected {expected}")

    async def make_some_of_everything(self) -> None:
        """Cause what the dashboard shows only once it has happened."""
        async with await ChatClient.connect(
            f"ws://127.0.0.1:{self.port}/", self.token("--user", "1")
        ) as alice:
            await alice.request(type="no_such_command")
            await alice.request(type="send_private_message", recipientId="3", content="hello")
            await alice.request(type="get_private_messages", recipientId="3")


async def try_nginx(chat: Chat, folder: Path) -> None:
    """Chat through nginx."""
    port = free_port()
    text = (HERE / "nginx/fastchat.conf").read_text("utf-8")
    text = replace(text, "127.0.0.1:3001", f"127.0.0.1:{chat.port}")
    (folder / "site.conf").write_text(replace(text, "listen 80;", f"listen 127.0.0.1:{port};"))
    (folder / "nginx.conf").write_text(NGINX.format(included=folder / "site.conf"))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    check(*command, "-t")
    ready = f"http://127.0.0.1:{port}/live"
    async with running(ready, *command, "-g", "daemon off;"):
        await chat.chat(port)


async def try_haproxy(chat: Chat, folder: Path) -> None:
    """Chat through HAProxy."""
    port = free_port()
    text = (HERE / "haproxy/fastchat.cfg").read_text("utf-8")
    text = replace(text, "127.0.0.1:3001", f"127.0.0.1:{chat.port}")
    text = replace(text, "bind *:80\n", f"bind 127.0.0.1:{port}\n")
    (folder / "haproxy.cfg").write_text(replace(text, "maxconn 100000", "maxconn 100"))
    command = ["haproxy", "-f", str(folder / "haproxy.cfg")]
    check(*command, "-c")
    async with running(f"http://127.0.0.1:{port}/live", *command, "-db"):
        await chat.chat(port)


async def try_prometheus(chat: Chat, folder: Path) -> None:
    """Let Prometheus scrape, and evaluate every query and every alert."""
    port = free_port()
    for name in ("prometheus.yml", "alerts.yml"):
        text = (HERE / "prometheus" / name).read_text("utf-8")
        text = text.replace("fastchat:3001", f"127.0.0.1:{chat.port}")
        (folder / name).write_text(re.sub(r"interval: 15s", f"interval: {INTERVAL}s", text))
    check("promtool", "check", "rules", str(folder / "alerts.yml"))
    check("promtool", "check", "config", str(folder / "prometheus.yml"))
    api = f"http://127.0.0.1:{port}"
    async with running(
        f"{api}/-/ready",
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ):
        await chat.make_some_of_everything()

        async def value(expression: str) -> list[object]:
            query = urllib.parse.urlencode({"query": expression})
            _, body = await ask(f"{api}/api/v1/query?{query}")
            answer = json.loads(body)
            expect(answer["status"] == "success", f"{expression}: {answer.get('error')}")
            found: list[object] = answer["data"]["result"]
            return found

        # Rates need two scrapes after something happened.
        async with asyncio.timeout(PATIENCE):
            while not await value(f"rate(fastchat_messages_stored_total[{RANGE}]) > 0"):
                await chat.make_some_of_everything()
                await asyncio.sleep(INTERVAL)
        empty = [query for query in queries() if not await value(query)]
        expect(not empty, f"without a result: {empty}")
        _, body = await ask(f"{api}/api/v1/rules")
        async with asyncio.timeout(PATIENCE):
            while any(rule["health"] == "unknown" for rule in rules(body)):
                await asyncio.sleep(INTERVAL)
                _, body = await ask(f"{api}/api/v1/rules")
        wrong = [rule["name"] for rule in rules(body) if rule["health"] != "ok"]
        expect(not wrong, f"alerts that cannot be evaluated: {wrong}")
        serious = [
            rule["name"]
            for rule in rules(body)
            if rule["state"] == "firing" and rule["labels"]["severity"] == "critical"
        ]
        expect(not serious, f"a healthy server, but these fire: {serious}")


def rules(body: bytes) -> list[dict[str, object]]:
    """Return the alerts of an answer of Prometheus."""
    return [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """Return the queries of the dashboard as Grafana would send them."""
    dashboard = json.loads((HERE / "grafana/fastchat.json").read_text("utf-8"))
    return [
        target["expr"].replace("$instance", ".*").replace("$__rate_interval", RANGE)
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]


async def try_helm(chat: Chat, folder: Path) -> None:
    """Lint and render the chart, with everything and with nothing."""
    chart = str(HERE / "helm/fastchat")
    check("helm", "lint", "--strict", chart)
    check("helm", "template", "chat", chart)
    everything = "ingress.enabled=true,ingress.tlsSecret=t,serviceMonitor.enabled=true"
    check("helm", "template", "chat", chart, "--set", everything)
    try:
        check("helm", "template", "chat", chart, "--set", "settings.JWT_SECRET=x")
    except Failed:
        return
    raise Failed("the chart takes a secret as an open setting")


async def try_systemd(chat: Chat, folder: Path) -> None:
    """Let systemd look at the unit, with a program that exists."""
    text = (HERE / "systemd/fastchat.service").read_text("utf-8")
    unit = folder / "fastchat.service"
    unit.write_text(text.replace("/opt/fastchat/bin/fastchat", FASTCHAT))
    check("systemd-analyze", "verify", "--man=no", str(unit))


def replace(text: str, old: str, new: str) -> str:
    """Replace what has to be there."""
    expect(old in text, f"{old!r} is missing")
    return text.replace(old, new)


def check(*command: str) -> None:
    """Run a program to its end; it has to be content."""
    done = subprocess.run(command, capture_output=True, text=True)
    expect(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")


TRIES: dict[str, tuple[Callable[[Chat, Path], object], tuple[str, ...]]] = {
    "nginx": (try_nginx, ("nginx",)),
    "HAProxy": (try_haproxy, ("haproxy",)),
    "Prometheus, dashboard, alerts": (try_prometheus, ("prometheus", "promtool")),
    "Helm chart": (try_helm, ("helm",)),
    "systemd unit": (try_systemd, ("systemd-analyze",)),
}


async def rehearse() -> int:
    """Try everything; return the exit code."""
    failed = False
    with tempfile.TemporaryDirectory() as name:
        chat = Chat(Path(name) / "data")
        async with running(f"{chat.url}/ready", FASTCHAT, "serve", env=chat.environment, cwd=name):
            for title, (attempt, programs) in TRIES.items():
                missing = [program for program in programs if shutil.which(program) is None]
                outcome = "ok"
                if missing:
                    outcome = f"NOT TRIED, {', '.join(missing)} missing"
                else:
                    folder = Path(name) / programs[0]
                    folder.mkdir()
                    try:
                        await attempt(chat, folder)  # type: ignore[misc]
                    except Exception as error:
                        outcome = f"FAIL: {error or type(error).__name__}"
                failed = failed or outcome != "ok"
                print(f"{title}: {outcome}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(rehearse()))
