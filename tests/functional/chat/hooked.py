"""A main backend: it asks for pages with a token of its own, and takes webhooks."""

import asyncio
import base64
import hashlib
import hmac
import json

import aiohttp
from aiohttp import web

from fastchat.auth.tokens import SERVICE

SECRET = bytes(range(100, 140))
TIMEOUT = 10.0  # seconds


class MainBackend:
    """Its client and its own small server on the loopback."""

    def __init__(self, session):
        self.session = session
        self.received = []  # bodies that were taken, in their order
        self.tries = []  # (id, seconds, body) of all
        self.status = 200
        self.url = ""
        self._changed = asyncio.Condition()

    @property
    def settings(self):
        secret = "whsec_" + base64.b64encode(SECRET).decode()
        return {"WEBHOOK_URL": self.url, "WEBHOOK_SECRET": secret}

    async def serve(self):
        server = web.Server(self._answer)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/hooks"
        return runner

    async def _answer(self, request):
        body = await request.read()
        webhook_id, seconds = (request.headers[f"webhook-{name}"] for name in ("id", "timestamp"))
        signed = b".".join((webhook_id.encode(), seconds.encode(), body))
        digest = hmac.new(SECRET, signed, hashlib.sha256).digest()
        assert request.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        async with self._changed:
            self.tries.append((webhook_id, int(seconds), body))
            if self.status == 200:
                self.received.append(json.loads(body))
            self._changed.notify_all()
        return web.Response(status=self.status)

    async def wait_for(self, condition):
        """Wait until something is so, after each webhook."""
        async with asyncio.timeout(TIMEOUT), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def heard(self, kind):
        """Return the first webhook of a kind, once it is there."""
        await self.wait_for(lambda self: any(one["type"] == kind for one in self.received))
        return next(one for one in self.received if one["type"] == kind)

    async def ask(self, chat, method, path, *, token=None, status=200, **options):
        """Ask for a page of the service; return the body."""
        if token is None:
            token = chat.token("backend", role=SERVICE)
        headers = options.pop("headers", {"Authorization": f"Bearer {token}"})
        async with (
            asyncio.timeout(TIMEOUT),
            self.session.request(
                method, f"{chat.http_url}{path}", headers=headers, **options
            ) as response,
        ):
            body = await response.json()
            assert response.status == status, body
            return body

    async def send(self, chat, status=200, **fields):
        return await self.ask(chat, "POST", "/api/service/messages", status=status, json=fields)


async def open_backend(stack):
    """Return a backend that listens, until the stack is closed."""
    backend = MainBackend(await stack.enter_async_context(aiohttp.ClientSession()))
    runner = await backend.serve()
    stack.push_async_callback(runner.cleanup)
    return backend
