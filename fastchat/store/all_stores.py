"""Everything that talks to the database, built from the settings."""

from collections.abc import Mapping
from typing import Any, Protocol

from fastchat.store.annotations import Annotations
from fastchat.store.backend import BackendTables
from fastchat.store.catching_up import CatchingUp
from fastchat.store.changes import Changes
from fastchat.store.cipher import Cipher, KeyRing
from fastchat.store.contacts import Contacts
from fastchat.store.conversation_list import ConversationList
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_queue import EventQueue
from fastchat.store.event_store import EventStore
from fastchat.store.groups import Groups
from fastchat.store.history import History
from fastchat.store.memberships import Memberships
from fastchat.store.pool import Pool
from fastchat.store.read_marks import ReadMarks
from fastchat.store.relations import Relations
from fastchat.store.removals import Removals
from fastchat.store.rooms import Rooms
from fastchat.store.users import Users
from fastchat.store.writer import LANE_SETTINGS, MessageWriter

OWN_LANE_FROM = 5  # connections to the database; with fewer, events share the lane of messages


class Settings(Protocol):
    """The settings that concern the database; see docs/configuration.md."""

    @property
    def block_check_fail_open(self) -> bool:
        """Whether messages pass when only blocks cannot be read."""

    @property
    def chat_encryption_key(self) -> str:
        """The key of stored messages."""

    @property
    def chat_encryption_keys(self) -> tuple[tuple[str, str], ...]:
        """The key ring: id and key."""

    @property
    def chat_encryption_salt(self) -> str:
        """The salt of the key derivation."""

    @property
    def db_connection_timeout(self) -> float:
        """Seconds for a connection."""

    @property
    def db_idle_timeout(self) -> float:
        """Seconds until an idle connection is closed; 0.0: never."""

    @property
    def db_max_connections(self) -> int:
        """Connections at most."""

    @property
    def db_min_connections(self) -> int:
        """Connections kept open."""

    @property
    def db_query_timeout(self) -> float:
        """Seconds for a query."""

    @property
    def edit_window(self) -> float:
        """Seconds in which a message may be edited."""

    @property
    def encryption_fallback_plaintext(self) -> bool:
        """Whether what cannot be encrypted is stored readable."""

    @property
    def encryption_format(self) -> str:
        """``cbc`` or ``gcm``."""


class Stores:
    """The objects that read and write; nothing is opened before ``pool`` and the writers start.

    Attributes:
        event_writer: What stores events for users who are away; ``writer`` where there are too few
            connections for two.
    """

    def __init__(
        self, settings: Settings, arguments: Mapping[str, Any], tables: BackendTables
    ) -> None:
        """Take the settings, the arguments of ``asyncpg.connect`` and the backend's tables."""
        self._settings = settings
        self._tables = tables
        self.pool = Pool(
            arguments,
            min_size=settings.db_min_connections,
            max_size=settings.db_max_connections,
            idle_timeout=settings.db_idle_timeout,
            connection_timeout=settings.db_connection_timeout,
            query_timeout=settings.db_query_timeout,
        )
        self.writer = self._make_writer()
        self.rooms = Rooms(self.pool, tables)
        self.users = Users(self.pool, tables)
        self.memberships = Memberships(self.pool)
        self.history = History(self.pool, tables)
        self.relations = Relations(
            self.pool, tables, block_check_fail_open=settings.block_check_fail_open
        )
        self.contacts = Contacts(
            self.pool, tables, block_check_fail_open=settings.block_check_fail_open
        )
        self.changes = Changes(
            self.writer,
            self.pool,
            tables,
            edit_window=settings.edit_window,
            block_check_fail_open=settings.block_check_fail_open,
        )
        self.marks = ReadMarks(self.writer)
        self.annotations = Annotations(
            self.writer, tables, block_check_fail_open=settings.block_check_fail_open
        )
        self.removals = Removals(self.pool)
        self.groups = Groups(self.writer, self.pool)
        self.conversation_list = ConversationList(self.pool, tables)
        self.catching_up = CatchingUp(self.pool, tables)
        keys = KeyRing(
            settings.chat_encryption_key,
            settings.chat_encryption_keys,
            salt=settings.chat_encryption_salt,
        )
        self.cipher = Cipher(
            keys,
            settings.encryption_format,
            fallback_plaintext=settings.encryption_fallback_plaintext,
        )
        self.event_memory = EventMemory()
        self.event_queue = EventQueue(self.cipher, self.event_memory)
        self.event_store = EventStore(self.pool, self.cipher, self.event_memory)
        has_own = settings.db_max_connections >= OWN_LANE_FROM
        self._use_event_writer(self._make_writer() if has_own else self.writer)

    def _use_event_writer(self, writer: MessageWriter) -> None:
        self.event_writer = writer
        self.event_queue.use(writer.lanes[0])

    def _make_writer(self) -> MessageWriter:
        return MessageWriter(
            lambda: self.pool.connect(**LANE_SETTINGS),
            self._tables,
            block_check_fail_open=self._settings.block_check_fail_open,
        )
