"""The tables that the previous server leaves, small, in each spelling and with each type of ids."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fastchat.store.cipher import derive_key

KEY = "a key for tests, 32 characters !"
IV = bytes(range(16))
START = datetime(2024, 1, 1, tzinfo=UTC)

FIRST = {
    "messages": "chat_messages",
    "conversations": "dm_conversations",
    "groups": "chat_groups",
    "members": "group_participants",
    "reactions": "chat_reactions",
    "message_removals": "message_removals",
    "conversation_removals": "conversation_removals",
    "events": "offline_events",
}
SECOND = {
    "messages": "private_messages",
    "conversations": "conversations",
    "groups": "group_chats",
    "members": "group_members",
    "reactions": "message_reactions",
    "message_removals": "message_deletions",
    "conversation_removals": "conversation_deletions",
    "events": "event_queue",
}
_TABLES = """
CREATE TABLE {conversations} (
    conversation_id varchar(255) PRIMARY KEY, user1_id {user}, user2_id {user},
    created_at timestamptz DEFAULT now()
);
CREATE TABLE {groups} (
    group_id varchar(255) PRIMARY KEY, group_name varchar(255), group_description text,
    created_by {user}, max_members integer, created_at timestamptz DEFAULT now(),
    is_active boolean DEFAULT true
);
CREATE TABLE {members} (
    group_id varchar(255) REFERENCES {groups}, user_id {user}, role varchar(20),
    joined_at timestamptz DEFAULT now(), PRIMARY KEY (group_id, user_id)
);
CREATE TABLE {messages} (
    message_id {message} PRIMARY KEY, conversation_id varchar(255), sender_id {user},
    recipient_id {user}, group_id varchar(255), content text, encrypted_content text,
    encryption_iv varchar(255), is_encrypted boolean DEFAULT false, reply_to {message},
    created_at {time} DEFAULT now(), updated_at {time}, is_read boolean DEFAULT false
);
CREATE TABLE {reactions} (
    id serial PRIMARY KEY, message_id {message} REFERENCES {messages} ON DELETE CASCADE,
    user_id {user}, reaction varchar(16), created_at timestamptz DEFAULT now()
);
CREATE TABLE {message_removals} (
    message_id {message} REFERENCES {messages} ON DELETE CASCADE, user_id {user},
    deleted_at timestamptz DEFAULT now(), PRIMARY KEY (message_id, user_id)
);
CREATE TABLE {conversation_removals} (
    conversation_id varchar(255), user_id {user}, deleted_at timestamptz DEFAULT now(),
    PRIMARY KEY (conversation_id, user_id)
);
CREATE TABLE {events} (
    id bigserial PRIMARY KEY, user_id {user}, event_type varchar(50), event_data jsonb,
    created_at timestamptz DEFAULT now(), delivered_at timestamptz
);
CREATE TABLE chat_users (user_id {user} PRIMARY KEY, username varchar(255), email varchar(255));
"""


def sealed(text: str, key: str = KEY) -> str:
    """Encrypt as the previous server did."""
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(derived(key)), modes.CBC(IV)).encryptor()
    return (encryptor.update(padded) + encryptor.finalize()).hex()


def opened_as_before(row: Any) -> str:
    """Decrypt as the previous server did."""
    mode = modes.CBC(bytes.fromhex(row["encryption_iv"]))
    decryptor = Cipher(algorithms.AES(derived(KEY)), mode).decryptor()
    padded = decryptor.update(bytes.fromhex(row["encrypted_content"])) + decryptor.finalize()
    return padded[: -padded[-1]].decode()


_keys: dict[str, bytes] = {}


def derived(key: str) -> bytes:
    if key not in _keys:
        _keys[key] = derive_key(key, "salt")
    return _keys[key]


@dataclass
class Previous:
    """The previous server, as far as its database is concerned.

    ``now`` goes on by a second with each message.
    """

    connection: Any
    names: dict[str, str] = field(default_factory=lambda: FIRST)
    user_type: str = "integer"
    message_type: str = "uuid"
    time_type: str = "timestamptz"
    now: datetime = START
    last_id: int = 0

    async def create(self) -> None:
        """Make the tables."""
        types = {"user": self.user_type, "message": self.message_type, "time": self.time_type}
        await self.connection.execute(_TABLES.format(**self.names, **types))

    def user(self, number: int) -> Any:
        """Return a user's id in its own type."""
        if self.user_type == "uuid":
            return uuid.UUID(int=number)
        return str(number) if self.user_type == "text" else number

    def message_id(self) -> Any:
        """Return an id nobody has; those of text do not sort as they were given."""
        self.last_id += 1
        if self.message_type == "uuid":
            return uuid.uuid4()
        return f"m{self.last_id}" if self.message_type == "text" else self.last_id

    async def insert(self, kind: str, **columns: Any) -> None:
        """Insert one row."""
        names = ", ".join(columns)
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        await self.connection.execute(
            f"INSERT INTO {self.names[kind]} ({names}) VALUES ({places})", *columns.values()
        )

    async def say(
        self,
        sender: int,
        recipient: int | None,
        text: str,
        group: str | None = None,
        **columns: Any,
    ) -> Any:
        """Store a message with both of its texts, as that server did; return its id."""
        self.now += timedelta(seconds=1)
        message_id = columns.pop("message_id", None) or self.message_id()
        fields = {
            "message_id": message_id,
            "sender_id": self.user(sender),
            "recipient_id": None if recipient is None else self.user(recipient),
            "group_id": group,
            "conversation_id": group or self.conversation(sender, recipient or 0),
            "content": text,
            "encrypted_content": sealed(text),
            "encryption_iv": IV.hex(),
            "is_encrypted": True,
            "created_at": self.time(self.now),
        }
        await self.insert("messages", **(fields | columns))
        return message_id

    def time(self, time: datetime) -> datetime:
        """Return a time as the column has it."""
        return time if self.time_type == "timestamptz" else time.replace(tzinfo=None)

    def conversation(self, one: int, other: int) -> str:
        """Return the id of a conversation as that server made it: by number, not by text."""
        first, second = sorted((one, other))
        return f"conv_{self.user(first)}_{self.user(second)}"

    async def fill(self) -> dict[str, Any]:
        """Store a bit of everything; return the ids of messages by what they are."""
        ids: dict[str, Any] = {}
        for one, other in ((1, 2), (1, 10)):
            await self.insert(
                "conversations",
                conversation_id=self.conversation(one, other),
                user1_id=self.user(one),
                user2_id=self.user(other),
            )
        ids["first"] = await self.say(1, 2, "first", is_read=True)
        ids["answer"] = await self.say(2, 1, "answer", reply_to=ids["first"], is_read=True)
        ids["unread"] = await self.say(1, 2, "unread \N{SNOWMAN}")
        ids["plain"] = await self.say(
            1, 2, "plain", encrypted_content=None, encryption_iv=None, is_encrypted=False
        )
        ids["broken"] = await self.say(1, 2, "broken", encrypted_content="00" * 16)
        ids["alone"] = await self.say(10, 1, "alone", content=None)
        ids["orphan"] = await self.say(1, None, "to nobody", conversation_id=None)
        await self.insert(
            "groups",
            group_id="group_1",
            group_name="Group",
            created_by=self.user(1),
            max_members=20,
        )
        for number, role in ((1, "admin"), (2, "member"), (3, "guest")):
            await self.insert("members", group_id="group_1", user_id=self.user(number), role=role)
        ids["in group"] = await self.say(1, None, "to all", group="group_1")
        ids["gone group"] = await self.say(1, None, "to none", group="group_gone")
        for user, reaction in ((1, "+1"), (2, "-1"), (2, "heart")):
            await self.insert(
                "reactions", message_id=ids["first"], user_id=self.user(user), reaction=reaction
            )
        await self.insert("message_removals", message_id=ids["answer"], user_id=self.user(1))
        await self.insert(
            "conversation_removals",
            conversation_id=self.conversation(1, 10),
            user_id=self.user(1),
        )
        event = {
            "type": "message_edited",
            "messageId": str(ids["first"]),
            "conversationId": self.conversation(1, 2),
            "message": {
                "id": str(ids["first"]),
                "content": "secret",
                "editedAt": "2024-01-01T00:00:00.000Z",
            },
        }
        await self.insert(
            "events",
            user_id=self.user(2),
            event_type="message_edited",
            event_data=json.dumps(event),
        )
        await self.insert(
            "events",
            user_id=self.user(2),
            event_type="message_edited",
            event_data=json.dumps(event),
            delivered_at=self.now,
        )
        await self.connection.execute(
            "INSERT INTO chat_users VALUES ($1, 'fallback')", self.user(99)
        )
        return ids
