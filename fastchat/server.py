"""One worker's server: every object, wired, and the order in which they start and stop."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from fastchat import __version__
from fastchat._speedups import COMPILED
from fastchat._speedups.connection_core import Connection, Endpoint
from fastchat._speedups.endpoint_limits import EndpointLimits
from fastchat._speedups.routing import RoutingTable
from fastchat.admission.connections import ConnectionRefused, ConnectionRules
from fastchat.admission.limits import Limits
from fastchat.auth.revocation import RevocationWatch
from fastchat.auth.tokens import TokenChecker
from fastchat.config import Config
from fastchat.dispatch import Dispatcher
from fastchat.handlers import api, monitoring, page, service
from fastchat.handlers.annotations import MessageAnnotations
from fastchat.handlers.announcing import Announcer
from fastchat.handlers.answers import Answers
from fastchat.handlers.authentication import Authentication
from fastchat.handlers.backend import Backend
from fastchat.handlers.catching_up import SyncReplies
from fastchat.handlers.changes import MessageChanges
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.finding import Finder
from fastchat.handlers.group_messages import GroupMessages
from fastchat.handlers.groups import GroupAdministration
from fastchat.handlers.history import Conversations
from fastchat.handlers.local_sessions import LocalSessions
from fastchat.handlers.messages import Messages
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.recent import RecentPages
from fastchat.handlers.rows import RowEncoder
from fastchat.handlers.sending import Neighbours
from fastchat.handlers.system import System
from fastchat.handlers.typing import TypingEvents
from fastchat.host import Place
from fastchat.housekeeping import Housekeeping
from fastchat.hub.audience import Audience
from fastchat.hub.directory import Directory
from fastchat.hub.presence import Presence
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Session, Sessions, User
from fastchat.other_workers import OtherWorkers
from fastchat.protocol.codec import Codec
from fastchat.protocol.codes import CloseCode
from fastchat.protocol.command import Bounds
from fastchat.protocol.events import encode_server_draining, encode_server_full
from fastchat.routes import Handlers, make_guest_routes, make_routes
from fastchat.store.all_stores import Stores
from fastchat.store.backend import BackendTables
from fastchat.store.missed import Missed
from fastchat.store.pictures import Pictures
from fastchat.telemetry.health import Health
from fastchat.telemetry.lag import LoopLag
from fastchat.telemetry.metrics import Metrics
from fastchat.telemetry.sources import NoBus, Sources
from fastchat.transport.http import HttpServer
from fastchat.transport.port import Listener, Refusal, bind, make_tls_context

TICK = 1.0  # seconds
CLOSE_TIME = 3.0  # seconds for the closing handshakes at the end
RETRY_SPREAD = 10  # seconds over which clients are asked to come back after a shutdown


class Server(Stores):
    """The chat server of this process; needs a running event loop."""

    def __init__(
        self,
        config: Config,
        arguments: Mapping[str, Any],
        tables: BackendTables,
        place: Place | None = None,
    ) -> None:
        """Build everything; nothing is opened before ``start``.

        Args:
            config: The settings, with this worker's share of the database connections.
            arguments: Of ``asyncpg.connect``.
            tables: What the main backend's tables look like.
            place: Which worker this is and what it shares with the others; without one it is
                the only worker, and opens the port itself.
        """
        self._config = config
        self._tables = tables
        self._place = place or Place.alone()
        self._loop = asyncio.get_running_loop()
        self._is_draining = False
        self._ticker: asyncio.TimerHandle | None = None
        self._background: list[asyncio.Task[None]] = []
        self.answers = Answers()
        ledger = self._place.open_ledger()
        self.rules = ConnectionRules(
            config.max_connections, config.max_connections_per_ip, config.ip_rate_limit, ledger
        )
        self.limits = Limits(config.message_rate_limit, config.command_rate_limit, ledger)
        super().__init__(config, arguments, tables)
        self.encoder = RowEncoder(self.cipher)
        self.backend = Backend(
            self.pool,
            self.cipher,
            webhook_url=config.webhook_url,
            webhook_secret=config.webhook_secret,
        )
        self._build_hub()
        self.dispatcher = self._build_dispatcher(tables)
        self._build_transport(tables)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.listener.port

    @property
    def url(self) -> str:
        """Where a client on this machine connects to."""
        return self._config.url_at(self.port)

    async def start(self) -> None:
        """Connect to the database and open the port.

        Raises:
            OSError: the port cannot be opened.
        """
        config = self._config
        tls = None
        if config.tls_cert:
            tls = make_tls_context(config.tls_key, config.tls_cert, config.tls_ca or None)
        bound = self._place.socket or bind(config.host, config.port)
        await self.pool.start()
        self.writer.start(self.flush)
        if self.event_writer is not self.writer:
            self.event_writer.start()
        self.lag.start(self._loop)
        self._background = [
            self._loop.create_task(self.watch.run()),
            self._loop.create_task(self.housekeeping.run()),
            self._loop.create_task(self.backend.run()),
        ]
        if self.others is not None:
            await self.others.start()
        await self.listener.start([bound], tls)
        self._tick()

    async def stop(self) -> None:
        """Store and answer what was accepted, within ``SHUTDOWN_TIMEOUT``, and close everything."""
        self._is_draining = True
        deadline = self._loop.time() + self._config.shutdown_timeout
        self.listener.close_accepting()
        self.census.publish()
        self._announce_draining()
        # First what has yet to reach the writer, at last the repeats that it found.
        await self._drain_sends(deadline)
        await self.writer.stop(max(0.0, deadline - self._loop.time()))
        if self.event_writer is self.writer:
            # Its connection is free now, and the last changes are still to be told of.
            self._use_event_writer(self._make_writer())
            self.event_writer.start()
        await self._drain_sends(deadline)
        await self.backend.drain(max(0.0, deadline - self._loop.time()))
        await self.dispatcher.drain(max(0.0, deadline - self._loop.time()))
        await self.delivery.drain(max(0.0, deadline - self._loop.time()))
        if self.others is not None:
            await self.others.drain(max(0.0, deadline - self._loop.time()))
        await self.listener.drain_heads(max(0.0, deadline - self._loop.time()))
        self.offline.end()
        await self.listener.stop(CloseCode.GOING_AWAY, "Server shutting down", timeout=CLOSE_TIME)
        if self._ticker is not None:
            self._ticker.cancel()
        self.lag.stop()
        self.typing.stop()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.backend.stop()
        await self.announcer.stop()
        await self.messages.stop()
        await self.group_messages.stop()
        await self.delivery.stop()
        await self.dispatcher.stop()
        if self.others is not None:
            await self.others.stop()
        # At last what connections did and did not take before they were closed.
        await self.offline.stop(CLOSE_TIME)
        await self.event_writer.stop(max(CLOSE_TIME, deadline - self._loop.time()))
        self.event_queue.stop()
        # Look-ups whose answer nobody waits for any more.
        left = deadline + CLOSE_TIME - self._loop.time()
        await self.pool.stop(min(CLOSE_TIME, max(0.0, left)))
        self.census.publish()

    def flush(self) -> None:
        """Let what came of a batch leave, to the other workers first: they may wait for it."""
        if self.others is not None:
            self.others.exchange.flush()
        self.endpoint.flush()

    async def _drain_sends(self, deadline: float) -> None:
        for sending in (self.messages, self.group_messages):
            await sending.drain(max(0.0, deadline - self._loop.time()))

    def _announce_draining(self) -> None:
        """Ask clients to come back, and not all at once."""
        for index, user_id in enumerate(self.hub.user_ids()):
            self.hub.publish((user_id,), encode_server_draining(1 + index % RETRY_SPREAD))

    def _build_hub(self) -> None:
        config = self._config
        audience = Audience()
        self.announcer = Announcer(audience, self.contacts, config.presence_scope)
        presence = Presence(config.offline_grace_period, self._announce)
        directory = Directory()
        tells = config.presence_scope != "none"
        self.hub = Hub(RoutingTable(), presence, directory, audience if tells else None)
        self.recent = RecentPages()
        self.others: OtherWorkers | None = None
        if config.web_concurrency > 1 or config.redis_url:
            self.others = OtherWorkers(
                self._place.name,
                partial(self._place.open_carrier, redis_url=config.redis_url),
                self.hub,
                directory,
                self.recent,
                self.memberships,
                self.rooms,
                self.encoder,
                Missed(self.pool, self._tables),
                self.limits,
                self.rules,
                uses_redis=bool(config.redis_url),
            )
        self.offline = OfflineEvents(
            self.hub,
            self.event_queue,
            self.event_store,
            self.event_memory,
            delay=config.event_delivery_delay,
            wake_elsewhere=self.others.relay.wake if self.others else None,
        )
        self.delivery = Delivery(self.hub, self.memberships, self.recent, self.offline)
        others = self.others
        if others is not None:
            others.connect(self.delivery, self.offline)
        self.backend.connect(
            self.hub,
            speaks=lambda: others is None or others.speaks,
            knows_everybody=lambda: others is None or others.knows_everybody,
            grace_period=config.offline_grace_period,
        )
        self.watch = RevocationWatch(
            self.users.fetch_revoked, self._end_session, interval=config.revocation_check_interval
        )

    def _build_dispatcher(self, tables: BackendTables) -> Dispatcher:
        config = self._config
        encoder = self.encoder
        self.codec = Codec(Bounds(config.max_message_length, config.max_group_members))
        self.tokens = TokenChecker(config.jwt_secret)
        self.authentication = Authentication(
            self.tokens,
            self.users,
            self.limits,
            self.hub,
            self.watch,
            self.offline,
            self.answers,
        )
        webhooks = self.backend.webhooks
        neighbours = Neighbours(
            self.writer, self.history, self.cipher, encoder, self.answers, webhooks
        )
        self.messages = Messages(
            neighbours,
            self.rooms,
            self.relations if tables.follows_id_type else None,
            self.delivery,
        )
        self.group_messages = GroupMessages(
            neighbours, self.rooms, self.memberships, self.users, self.delivery
        )
        self.typing = TypingEvents(
            self.relations, self.rooms, self.memberships, self.hub, self.delivery
        )
        finder = Finder(self.rooms, self.memberships, self.history)
        conversations = Conversations(
            self.rooms,
            self.history,
            self.users,
            self.relations,
            self.conversation_list,
            finder,
            encoder,
            self.recent,
            self.delivery,
            self.hub,
        )
        changes = MessageChanges(
            self.changes, self.marks, finder, self.history, self.cipher, self.delivery
        )
        annotations = MessageAnnotations(
            self.annotations, finder, self.history, encoder, self.delivery
        )
        groups = GroupAdministration(
            self.groups,
            self.memberships,
            self.rooms,
            self.users,
            self.relations,
            self.contacts,
            finder,
            self.delivery,
            most_members=config.max_group_members,
        )
        handlers = Handlers(
            authentication=self.authentication,
            messages=self.messages,
            group_messages=self.group_messages,
            conversations=conversations,
            changes=changes,
            annotations=annotations,
            groups=groups,
            typing=self.typing,
            offline=self.offline,
            sync=SyncReplies(self.catching_up, self.users, encoder),
            system=System(self.contacts, self.hub),
        )
        return Dispatcher(
            self.codec,
            self.limits,
            self.answers,
            make_guest_routes(handlers),
            make_routes(handlers),
        )

    def _build_transport(self, tables: BackendTables) -> None:
        config = self._config
        self.endpoint = Endpoint(
            self._loop,
            on_open=self.authentication.greet,
            on_message=self.dispatcher.on_message,
            on_close=self._on_close,
            limits=EndpointLimits(
                max_message=config.max_payload_size,
                keep_alive=config.keep_alive_timeout,
                inactivity=config.connection_timeout,
                authentication=config.auth_timeout,
            ),
        )
        self.lag = LoopLag()
        self.pictures = Pictures(self.pool, tables, config.profile_picture_url_template)
        self.housekeeping = Housekeeping(
            {
                "rate_windows": lambda now: self.limits.sweep(now, self.hub.is_here),
                "ip_windows": self.rules.sweep,
                "pages": self.recent.sweep,
                "profiles": self.users.cache.sweep,
                "pictures": self.pictures.cache.sweep,
                "removals": self.removals.clean,
                "event_copies": self.event_memory.sweep,
                "events": self.event_store.clean,
                **self.backend.chores,
            }
        )
        sources = Sources(
            transport=self.endpoint,
            limits=self.limits,
            connections=self.rules,
            hub=self.hub,
            writer=self.writer,
            pool=self.pool,
            spine=self.answers,
            conversations=self.rooms,
            event_queue=self.event_queue,
            event_store=self.event_store,
            webhooks=self.backend.delivery,
            bus=self.others or NoBus(),
            lag=self.lag,
            caches={
                "pages": self.recent,
                "profiles": self.users.cache,
                "members": self.memberships.cache,
                "pictures": self.pictures.cache,
                "events": self.event_memory,
            },
            cleared=self.housekeeping.cleared,
        )
        self.census = self._place.open_census(
            sources,
            max_connections=config.max_connections,
            is_draining=lambda: self._is_draining,
        )
        self.metrics = Metrics(self.census, compiled=COMPILED, version=__version__)
        health = Health(self.metrics, max_connections=config.max_connections)
        pages = api.make_routes(
            self.authentication, self.conversation_list, self.pictures, self.users, self.encoder
        )
        sessions: Sessions = LocalSessions(
            self.hub, self.watch, self.users, self.pictures, self._place.worker
        )
        if self.others is not None:
            sessions = self.others.ask_all(sessions)
        service_pages = self.backend.make_routes(
            self.tokens,
            self.users,
            self.codec,
            (self.messages, self.group_messages),
            sessions,
            self._count_request,
            config.system_user_id,
        )
        demo = page.make_routes(config.demo_secret) if config.demo_page else {}
        http = HttpServer(
            {**monitoring.make_routes(health, self.metrics), **pages, **service_pages, **demo},
            admit=self._admit_request,
            trusted_proxies=config.trusted_proxies,
            allowed_origins=config.allowed_origins,
        )
        self.listener = Listener(
            self.endpoint,
            http,
            admit=self._admit_connection,
            trusted_proxies=config.trusted_proxies,
            allowed_origins=config.allowed_origins,
        )

    def _announce(self, user: User, is_online: bool) -> None:
        self.announcer.announce(user, is_online)
        self.backend.presence_changed(user, is_online)

    def _admit_connection(
        self, remote_ip: str, headers: object, origin: str | None
    ) -> Refusal | None:
        try:
            self.rules.open(remote_ip, time.monotonic())
        except ConnectionRefused as error:
            payload = encode_server_full() if error.worker_full else None
            return Refusal(error.close_code, error.reason, payload)
        return None

    def _admit_request(self, remote_ip: str, path: str) -> int:
        if path in monitoring.PATHS or path.startswith(service.PREFIX):
            return 0  # that of the main backend counts those who are not
        return self._count_request(remote_ip, path)

    def _count_request(self, remote_ip: str, path: str) -> int:
        return self.rules.admit_request(remote_ip, time.monotonic())

    def _on_close(self, connection: Connection) -> None:
        self.rules.close(connection.remote_ip)
        self.dispatcher.on_close(connection)
        left = self.authentication.leave(connection)
        if left is not None:
            self.typing.leave(left)

    def _end_session(self, session: Session, code: str) -> None:
        self.authentication.end(session, code)

    def _tick(self) -> None:
        """Do what is due each second."""
        self._ticker = self._loop.call_later(TICK, self._tick)
        now = time.monotonic()
        self.hub.sweep(now)
        self.watch.expire(time.time())
        self.census.publish()
