"""The previous server writes on while its tables are copied, and the copy is killed on its way."""

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from datetime import timedelta

import asyncpg

from fastchat.store.adoption.state import get_state
from fastchat.store.rooms import conversation_id_of
from tests.functional.adoption.adopting import adopting, connected, copy, switch, texts
from tests.functional.adoption.previous import KEY, Previous, sealed
from tests.unit.config.test_config import PRODUCTION

SEED = 20240101
KEPT = ("PATH", "LANG", "LC_ALL")
PATIENCE = 30.0  # seconds


class Writer:
    """The previous server at work; everything it does is acknowledged before the next."""

    def __init__(self, server: Previous, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.ids: list = []
        self.written = 0

    async def write(self) -> None:
        """Do one thing."""
        server, connection = self.server, self.server.connection
        kinds = (self._send, self._send_late, self._edit, self._read, self._react, self._delete)
        kind = self.random.choices(kinds, (8, 3, 3, 3, 3, 2))[0]
        if self.written % 17 == 5:
            await self._join()
        elif self.written % 23 == 7:
            await server.insert(
                "conversation_removals",
                conversation_id=server.conversation(1, 2 + self.written),
                user_id=server.user(1),
            )
        elif kind in (self._send, self._send_late) or not self.ids:
            await kind(server) if self.ids else await self._send(server)
        else:
            await kind(connection)
        self.written += 1

    async def write_until_refused(self) -> None:
        """Go on until the tables are not what they were."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError):
            while True:
                await self.write()

    async def _send(self, server, **columns) -> None:
        if self.random.random() < 0.3:
            where = {"recipient": None, "group": self.random.choice(("group_1", "group_new"))}
        else:
            where = {"recipient": self.random.randrange(2, 6)}
        text = f"text {self.written}"
        self.ids.append(await server.say(1, text=text, **where, **columns))

    async def _send_late(self, server) -> None:
        # Committed after messages that are younger.
        late = timedelta(seconds=self.random.randrange(1, 40))
        await self._send(server, created_at=server.now - late)

    async def _edit(self, connection) -> None:
        text = f"edited {self.written}"
        await connection.execute(
            "UPDATE chat_messages SET content = $2, encrypted_content = $3, updated_at = now() "
            "WHERE message_id = $1",
            self.random.choice(self.ids),
            text,
            sealed(text),
        )

    async def _read(self, connection) -> None:
        await connection.execute(
            "UPDATE chat_messages SET is_read = true WHERE message_id = $1",
            self.random.choice(self.ids),
        )

    async def _delete(self, connection) -> None:
        chosen = self.ids.pop(self.random.randrange(len(self.ids)))
        await connection.execute("DELETE FROM chat_messages WHERE message_id = $1", chosen)

    async def _react(self, connection) -> None:
        chosen, user = self.random.choice(self.ids), self.random.randrange(1, 4)
        await connection.execute(
            "DELETE FROM chat_reactions WHERE message_id = $1 AND user_id = $2", chosen, user
        )
        if self.random.random() < 0.7:
            await self.server.insert(
                "reactions", message_id=chosen, user_id=user, reaction=f"r{self.written}"
            )
        if self.random.random() < 0.3:
            await connection.execute(
                "INSERT INTO message_removals (message_id, user_id) VALUES ($1, $2) "
                "ON CONFLICT DO NOTHING",
                chosen,
                user,
            )

    async def _join(self) -> None:
        await self.server.connection.execute(
            "INSERT INTO chat_groups (group_id, group_name, created_by) "
            "VALUES ('group_new', 'New', 1) ON CONFLICT DO NOTHING"
        )
        await self.server.insert(
            "members", group_id="group_new", user_id=100 + self.written, role="member"
        )


async def assert_copied(connection) -> int:
    """Compare the new tables with the old ones, by other means than adopt does; return rows."""
    known = await connection.fetch("SELECT group_id FROM before_fastchat.chat_groups")
    groups = {row[0] for row in known}
    rooms: dict[str, list] = {}
    unread: dict[tuple[str, str], int] = {}
    for row in await connection.fetch("SELECT * FROM before_fastchat.chat_messages"):
        if row["group_id"] is not None:
            if row["group_id"] not in groups:
                continue
            room = row["group_id"]
        elif row["recipient_id"] is None:
            continue
        else:
            room = conversation_id_of(str(row["sender_id"]), str(row["recipient_id"]))
            key = (room, str(row["recipient_id"]))
            unread[key] = unread.get(key, 0) + (not row["is_read"])
        rooms.setdefault(room, []).append(row)
    for room, rows in rooms.items():
        rows.sort(key=lambda row: (row["created_at"], row["message_id"]))
        found = await texts(connection, room)
        expected = [(str(row["message_id"]), row["content"] or "alone") for row in rows]
        assert list(found.items()) == expected
    for (room, user), count in unread.items():
        assert count == await connection.fetchval(
            "SELECT count(*) FROM chat_messages m JOIN room_members o USING (room_id) "
            "WHERE m.conversation_id = $1 AND o.user_id = $2 AND m.sender_id <> $2 "
            "AND NOT m.is_read AND m.seq > o.read_seq",
            room,
            user,
        )
    old = await connection.fetch(
        "SELECT DISTINCT ON (message_id, user_id) message_id::text, user_id::text, reaction "
        "FROM before_fastchat.chat_reactions "
        "ORDER BY message_id, user_id, created_at DESC, reaction"
    )
    new = await connection.fetch(
        "SELECT m.message_id, x.user_id, x.reaction FROM chat_reactions x "
        "JOIN chat_messages m USING (room_id, seq) WHERE m.changed_rev = m.seq"
    )
    assert sorted(map(tuple, old)) == sorted(map(tuple, new))
    old = await connection.fetch(
        "SELECT message_id::text, user_id::text FROM before_fastchat.message_removals"
    )
    new = await connection.fetch(
        "SELECT m.message_id, x.user_id FROM message_removals x "
        "JOIN chat_messages m USING (room_id, seq)"
    )
    assert sorted(map(tuple, old)) == sorted(map(tuple, new))
    old = await connection.fetch(
        "SELECT group_id, user_id::text FROM before_fastchat.group_participants"
    )
    for query in (
        "SELECT g.group_id, p.user_id FROM group_participants p JOIN chat_groups g USING (room_id)",
        "SELECT g.group_id, o.user_id FROM room_members o JOIN chat_groups g USING (room_id)",
    ):
        assert sorted(map(tuple, old)) == sorted(map(tuple, await connection.fetch(query)))
    counters = await connection.fetch(
        "SELECT r.seq, r.rev, r.last_at, m.n, m.last FROM chat_rooms r CROSS JOIN LATERAL ("
        "SELECT count(*) AS n, max(x.created_at) AS last FROM chat_messages x "
        "WHERE x.room_id = r.room_id) m"
    )
    for row in counters:
        assert row["seq"] == row["n"] <= row["rev"] <= max(row["n"], 1)
        assert row["last"] in (None, row["last_at"])
    return sum(map(len, rooms.values()))


async def test_what_is_written_meanwhile_is_taken_over_up_to_the_last_acknowledged(fresh, previous):
    writer = Writer(previous, SEED)
    for _ in range(60):
        await writer.write()
    # Hardly anything is small enough to hide: many slices, and changes between all of them.
    async with connected(fresh) as connection:
        writer.server = Previous(connection, now=previous.now, last_id=previous.last_id)
        writing = asyncio.create_task(writer.write_until_refused())
        await copy(fresh, slice_size=11, pause=0.002)
        assert not writing.done()
        known = writer.written
        result = await switch(fresh, slice_size=11, pause=0.002)
        await asyncio.wait_for(writing, PATIENCE)
    assert known > 60
    assert await assert_copied(previous.connection) == result.new_messages


async def test_rooms_are_numbered_again_where_a_late_message_or_a_deletion_breaks_the_order(
    fresh, previous
):
    connection, ids = previous.connection, previous.ids
    await copy(fresh)
    await previous.say(1, 2, "before all", created_at=previous.now - timedelta(days=1))
    await previous.say(2, 1, "in between", created_at=previous.now - timedelta(seconds=8.5))
    await connection.execute("DELETE FROM chat_messages WHERE message_id = $1", ids["plain"])
    await connection.execute(
        "UPDATE chat_messages SET created_at = created_at + interval '1 hour' "
        "WHERE message_id = $1",
        ids["first"],
    )
    await previous.say(1, None, "whose group comes later", group="group_late")
    await previous.insert("groups", group_id="group_late", group_name="Late", created_by=1)
    await switch(fresh)
    await assert_copied(connection)
    assert list((await texts(connection, "group_late")).values()) == ["whose group comes later"]
    assert list((await texts(connection, "conv_1_2")).values()) == [
        "before all", "in between", "answer", "unread \N{SNOWMAN}", "broken", "first"
    ]  # fmt: skip


async def test_a_copy_that_is_killed_goes_on_where_it_was(fresh, previous):
    writer = Writer(previous, SEED + 1)
    for _ in range(150):
        await writer.write()
    connection = previous.connection
    for name in ("places", "copied", "positions", "compared at"):
        process = await start(fresh, "--copy", "--slice", "20", "--pause", "20")
        async with asyncio.timeout(PATIENCE):
            while not await progress(connection, name):
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        for _ in range(5):
            await writer.write()
    process = await start(fresh, "--switch", "--slice", "50")
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "The tables changed places" in output
    assert await assert_copied(connection) > 50


async def test_the_command_reports_switches_and_goes_back(fresh, previous):
    process = await start(fresh)
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "9 rows in public.chat_messages" in output
    assert "Nothing was changed." in output
    process = await start(fresh, "--switch", "--time-zone", "Europe/Vienna")
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "1 keep their plaintext" in output
    assert "2 were left out" in output
    process = await start(fresh, "--back")
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert "public.chat_messages" in output.partition("Back in their places: ")[2]
    assert await previous.connection.fetchval("SELECT count(*) FROM chat_messages") == 9
    process = await start(fresh, "--back")
    assert await process.wait() == 1


async def start(dsn, *options):
    environ = {name: os.environ[name] for name in KEPT if name in os.environ} | PRODUCTION
    environ |= {"DATABASE_URL": dsn, "DB_SSL": "false", "CHAT_ENCRYPTION_KEY": KEY}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "fastchat", "adopt", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environ,
    )


async def progress(connection, name):
    if not await connection.fetchval("SELECT to_regclass('fastchat_adoption.state') IS NOT NULL"):
        return None
    return await get_state(connection, name)


async def test_the_copy_waits_for_no_lock_for_long(fresh, previous, monkeypatch):
    monkeypatch.setattr("fastchat.store.adoption.state.TABLE_PATIENCE", 0.05)
    async with connected(fresh) as other, adopting(fresh) as adoption:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("UPDATE chat_messages SET is_read = true")
        copying = asyncio.create_task(adoption.copy())
        # While it waits for the triggers, others still get in between its tries.
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await previous.say(1, 2, "meanwhile")
        assert not copying.done()
        await transaction.commit()
        await asyncio.wait_for(copying, PATIENCE)
    await switch(fresh)
    await assert_copied(previous.connection)
