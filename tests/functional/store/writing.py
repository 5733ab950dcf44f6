"""What tests of the writer share: rooms, messages, and a record of what was answered."""

import asyncio
from dataclasses import dataclass, field

import asyncpg

from fastchat.store.batch import NewMessage, Outcome, Stored
from fastchat.store.writer import LANE_SETTINGS, MessageWriter


@dataclass(frozen=True)
class Columns:
    users_id_type: str | None = "bigint"
    blocks_id_type: str | None = "bigint"


async def connect_lane(dsn: str) -> asyncpg.Connection:
    return await asyncpg.connect(dsn, server_settings=LANE_SETTINGS)


def make_writer(dsn: str, columns: Columns | None = None, **options) -> MessageWriter:
    writer = MessageWriter(lambda: connect_lane(dsn), columns or Columns(), **options)
    writer.start()
    return writer


async def add_users(connection: asyncpg.Connection, count: int) -> None:
    """The backend knows the users 1 to ``count``."""
    await connection.execute(
        "INSERT INTO users_auth (user_id, username) "
        "SELECT id, 'user' || id FROM generate_series(1, $1::int) id ON CONFLICT DO NOTHING",
        count,
    )


async def make_rooms(dsn: str, count: int) -> list[tuple[int, str, str]]:
    """Rooms of the users 1 and 2, 3 and 4, …: (room_id, user1, user2)."""
    connection = await asyncpg.connect(dsn)
    await add_users(connection, 2 * count)
    rooms = []
    for index in range(count):
        room_id = await connection.fetchval(
            "INSERT INTO chat_rooms DEFAULT VALUES RETURNING room_id"
        )
        rooms.append((room_id, str(2 * index + 1), str(2 * index + 2)))
    await connection.close()
    return rooms


def make_message(room, text: str = "00ff", *, back: bool = False, **fields) -> NewMessage:
    room_id, user1, user2 = room
    sender, recipient = (user2, user1) if back else (user1, user2)
    return NewMessage(
        room_id=room_id,
        conversation_id=f"conv_{user1}_{user2}",
        user1_id=user1,
        user2_id=user2,
        sender_id=sender,
        recipient_id=recipient,
        content=None,
        encrypted_content=text,
        encryption_iv="00",
        encryption_scheme=None,
        **fields,
    )


@dataclass
class Sent:
    message: NewMessage
    outcomes: list[Outcome] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.first.set()


def append(writer: MessageWriter, message: NewMessage) -> Sent:
    sent = Sent(message)
    writer.append(message, sent.done)
    return sent


async def send(writer: MessageWriter, *messages: NewMessage) -> list[Outcome]:
    """Append together, wait for all, return the first outcome of each."""
    sent = [append(writer, message) for message in messages]
    async with asyncio.timeout(20):
        for each in sent:
            await each.first.wait()
    return [each.outcomes[0] for each in sent]


async def stored_rows(dsn: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(
            "SELECT m.room_id, m.seq, m.rev, m.sender_id, m.client_message_id, m.created_at, "
            "m.encrypted_content AS text, r.seq AS last_seq, r.rev AS last_rev "
            "FROM chat_messages m JOIN chat_rooms r USING (room_id) ORDER BY m.room_id, m.seq"
        )
    finally:
        await connection.close()


def check_history(rows, sent: list[Sent]) -> None:
    """No gap, nothing twice, nothing acknowledged lost, nothing stored that was never sent."""
    rooms: dict[int, list] = {}
    for row in rows:
        rooms.setdefault(row["room_id"], []).append(row)
    for room_rows in rooms.values():
        expected = list(range(1, len(room_rows) + 1))
        assert [row["seq"] for row in room_rows] == expected
        assert [row["rev"] for row in room_rows] == expected
        assert {(row["last_seq"], row["last_rev"]) for row in room_rows} == {(expected[-1],) * 2}
        times = [row["created_at"] for row in room_rows]
        assert times == sorted(times)
    texts = [row["text"] for row in rows]
    assert len(texts) == len(set(texts)), "a message is stored twice"
    keys = [
        (row["room_id"], row["sender_id"], row["client_message_id"])
        for row in rows
        if row["client_message_id"] is not None
    ]
    assert len(keys) == len(set(keys)), "a client id is stored twice"
    places = {(row["room_id"], row["seq"]): row for row in rows}
    assert set(texts) <= {each.message.encrypted_content for each in sent}, "a phantom"
    for each in sent:
        assert each.outcomes, "a message was never answered"
        assert len(each.outcomes) == 1 or (
            len(each.outcomes) == 2 and isinstance(each.outcomes[1], Stored)
        ), each.outcomes
        for outcome in each.outcomes:
            if isinstance(outcome, Stored):
                row = places[each.message.room_id, outcome.seq]
                assert row["text"] == each.message.encrypted_content, "acknowledged but not there"
                assert row["rev"] == outcome.rev
    told = {
        (each.message.room_id, outcome.seq)
        for each in sent
        for outcome in each.outcomes
        if isinstance(outcome, Stored)
    }
    assert told == set(places), "a stored message was never published"
