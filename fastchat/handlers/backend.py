"""The main backend's side of the server: what it asks for over HTTP, and what it is told."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastchat.auth.tokens import TokenChecker
from fastchat.handlers import service
from fastchat.handlers.on_behalf import OnBehalf, SendHandler
from fastchat.handlers.presence_check import PresenceCheck
from fastchat.handlers.webhooks import WebhookDelivery, Webhooks
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Sessions, User
from fastchat.protocol.codec import Codec
from fastchat.store.cipher import Cipher
from fastchat.store.revoked_tokens import RevokedTokens
from fastchat.store.system_user import SystemUser
from fastchat.store.users import Users
from fastchat.store.webhook_outbox import WebhookOutbox
from fastchat.store.webhook_presence import WebhookPresence
from fastchat.transport.http import AdmitRequest, Routes
from fastchat.transport.webhook import WebhookPoster

if TYPE_CHECKING:
    from fastchat.store.pool import Pool


class Backend:
    """Builds and keeps what only the main backend needs.

    Attributes:
        webhooks: What says what is to be told; None: nothing is.
        presence_check: What sees whether the backend knows who is online; None likewise.
        outbox: Where it is kept until then.
        delivery: What delivers it, and counts.
    """

    def __init__(
        self,
        pool: "Pool",
        cipher: Cipher,
        *,
        webhook_url: str,
        webhook_secret: bytes,
    ) -> None:
        """Take the neighbours, the address, which may be empty, and the key."""
        self._pool = pool
        self._has_webhooks = bool(webhook_url)
        self._revoked_tokens = RevokedTokens(pool)
        self._told = WebhookPresence(pool)
        self.outbox = WebhookOutbox(pool, cipher)
        self.webhooks: Webhooks | None = None
        self.presence_check: PresenceCheck | None = None
        poster = WebhookPoster(webhook_url, webhook_secret) if webhook_url else None
        self.delivery = WebhookDelivery(self.outbox, poster)
        self.chores = {
            "revoked_tokens": self._revoked_tokens.clean,
            "webhooks": self.outbox.clean,
            "webhook_presence": self._told.clean,
        }

    def connect(
        self,
        hub: Hub,
        *,
        speaks: Callable[[], bool],
        knows_everybody: Callable[[], bool],
        grace_period: float,
    ) -> None:
        """Take who is connected.

        Args:
            hub: Who is.
            speaks: Whether this worker speaks for all; see ``Webhooks``.
            knows_everybody: Whether it knows who is connected to any.
            grace_period: Seconds for which somebody counts as online after his last connection.
        """
        if self._has_webhooks:
            self.webhooks = Webhooks(self.outbox, hub, speaks)
            self.presence_check = PresenceCheck(
                self._told,
                hub,
                self.webhooks.tell_presence,
                answers_for_all=lambda: speaks() and knows_everybody(),
                grace_period=grace_period,
            )

    def presence_changed(self, user: User, is_online: bool) -> None:
        """Tell the backend that a user came or went, where it wants to hear of it."""
        if self.webhooks is not None:
            self.webhooks.presence_changed(user, is_online)

    def make_routes(
        self,
        tokens: TokenChecker,
        users: Users,
        codec: Codec,
        senders: tuple[SendHandler, SendHandler],
        sessions: Sessions,
        admit: AdmitRequest,
        system_user_id: str,
    ) -> Routes:
        """Return the pages.

        Args:
            tokens: Who knows tokens.
            users: Who knows users.
            codec: What checks commands.
            senders: What stores messages to users, and to groups.
            sessions: Who is connected; with several workers to any of them.
            admit: What counts requests without a good token.
            system_user_id: Whom messages of the system are from.
        """
        system_user = SystemUser(self._pool, users, system_user_id)
        on_behalf = OnBehalf(codec, *senders, users, system_user)
        return service.make_routes(
            service.Gate(tokens, users, admit),
            service.ServicePages(sessions, self._revoked_tokens, on_behalf),
        )

    async def run(self) -> None:
        """Deliver webhooks, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.delivery.run())
            if self.presence_check is not None:
                tasks.create_task(self.presence_check.run())

    async def drain(self, timeout: float) -> None:
        """Store what was accepted; the rest of the outbox is delivered by whoever runs next."""
        await self.outbox.drain(timeout)

    async def stop(self) -> None:
        """Close the connections to the backend; ``run`` has been cancelled."""
        await self.delivery.stop()
