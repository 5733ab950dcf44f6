"""What the JavaScript tests ask for while they run: tokens, wires, a restart of the server."""

import json
import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from aiohttp import web

from fastchat.auth.tokens import make_token
from tests.functional.browser.wire import Wire
from tests.functional.failure.process import SECRET, ServerProcess, until

ROOT = Path(__file__).resolve().parents[3]
CLIENT = ROOT / "clients" / "js"
PAGE = '<!doctype html><title>tests</title><script type="module" src="tests/browser.mjs"></script>'
CLOSE_CODES = re.compile(r"^\| (\d{4}) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def close_codes() -> list[dict[str, object]]:
    """Read the table of the protocol: each code, with each reason, and what a client does.

    ``final``; ``at_once``: the first try has no pause; ``least``: seconds before any try.
    """
    text = (ROOT / "docs" / "protocol.md").read_text("utf-8")
    table = text.partition("### Close codes")[2].partition("\n#")[0]
    return [
        {
            "code": int(code),
            "reason": reason,
            "final": bool(re.match(r"final(:|$)", todo.strip())),
            "at_once": todo.strip().endswith("at once"),
            "least": float(found[1]) if (found := re.search(r"with (\d+) s", todo)) else 0.0,
        }
        for code, when, todo in CLOSE_CODES.findall(table)
        for reason in re.findall(r"`([A-Z][^`]+ [^`]+)`", when) or [""]
    ]


class Control:
    """An HTTP server for the tests of one run; ``async with`` stops it and its wires."""

    def __init__(self, server: ServerProcess, database: str, wire_to_database: Wire) -> None:
        self.server = server
        self.url = ""
        self._database = database  # not over the wire
        self._wire_to_database = wire_to_database
        self._wires: list[Wire] = []
        self._jtis: dict[str, str] = {}  # by user
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._page),
                web.static("/dist", CLIENT / "dist"),
                web.static("/tests", CLIENT / "tests"),
                web.post("/tokens/{user}", self._token),
                web.post("/revoked/{user}", self._revoke),
                web.post("/wires", self._add_wire),
                web.post("/wires/{id}/{state}", self._turn_wire),
                web.post("/database/{state}", self._turn_database),
                web.post("/restart", self._restart),
                web.post("/close-codes", self._close_codes),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> "Control":
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        for wire in self._wires:
            await wire.stop()
        await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def _token(self, request: web.Request) -> web.Response:
        user, jti = request.match_info["user"], request.query.get("jti")
        if jti is not None:
            self._jtis[user] = jti
        expires_in = float(request.query.get("expires", "3600"))
        return web.Response(text=make_token(SECRET, user, expires_in, jti=jti))

    async def _revoke(self, request: web.Request) -> web.Response:
        connection = await asyncpg.connect(self._database)
        jti = self._jtis[request.match_info["user"]]
        await connection.execute("INSERT INTO jwt_revocation VALUES ($1)", jti)
        await connection.close()
        return web.Response()

    async def _add_wire(self, request: web.Request) -> web.Response:
        wire = Wire(lambda: urlsplit(self.server.url).port)
        await wire.start()
        self._wires.append(wire)
        return web.json_response({"id": len(self._wires) - 1, "url": wire.url})

    async def _turn_wire(self, request: web.Request) -> web.Response:
        self._wires[int(request.match_info["id"])].turn(request.match_info["state"])
        return web.Response()

    async def _turn_database(self, request: web.Request) -> web.Response:
        """Cut the server off from its database, or mend that and wait until it is back."""
        state = request.match_info["state"]
        self._wire_to_database.turn(state)
        await self.server.until_ready(200 if state == "mend" else 503)
        return web.Response()

    async def _restart(self, request: web.Request) -> web.Response:
        """Replace the worker by a new one, as for a new version."""
        ended = "the rolling restart is over"
        known = len(self.server.events(ended))
        os.kill(self.server.pid, signal.SIGHUP)
        await until(lambda: len(self.server.events(ended)) > known)
        return web.Response()

    async def _close_codes(self, request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(close_codes()))
