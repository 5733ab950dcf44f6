"""What becomes of the previous server's tables, in every spelling and with every type of ids."""

import json
from datetime import timedelta

import asyncpg
import pytest

from fastchat.store import migrations
from fastchat.store.adoption import AdoptionError
from fastchat.store.adoption.comparing import Difference
from fastchat.store.adoption.old_tables import find
from fastchat.store.adoption.places import abandon, go_back
from fastchat.store.adoption.report import report
from fastchat.store.cipher import Cipher, KeyRing, OwnRow
from fastchat.store.event_queue import context_of
from fastchat.store.rooms import conversation_id_of
from tests.functional.adoption.adopting import (
    adopting,
    connected,
    copy,
    dump,
    inventory,
    keys,
    switch,
    texts,
)
from tests.functional.adoption.previous import FIRST, KEY, SECOND, START, Previous

SHAPES = [
    (FIRST, "integer", "uuid", "timestamptz"),
    (SECOND, "text", "text", "timestamp"),
    (SECOND, "uuid", "bigint", "timestamptz"),
    (FIRST, "bigint", "integer", "timestamp"),
]


def seconds(number):
    return timedelta(seconds=number)


async def lines_of(dsn, key=KEY, **given):
    """Return the report of a dry run as one text per line."""
    async with connected(dsn) as connection:
        tables = await find(connection, given)
        lines = await report(connection, tables, Cipher(KeyRing(key)))
        return [f"{line.level} {line.subject}: {line.found}" for line in lines]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]['messages']}-{shape[2]}")
async def test_everything_is_taken_over_whatever_the_spelling_and_the_types(fresh, shape):
    async with connected(fresh) as connection:
        server = Previous(connection, *shape)
        await server.create()
        ids = await server.fill()
        if shape[0] is FIRST:
            with pytest.raises(migrations.MigrationError, match="fastchat adopt"):
                await migrations.migrate(connection)
            # What the refused migration made does not stand in the way.
        before = await dump(connection)
        result = await switch(fresh)

        one, two, ten = (str(server.user(n)) for n in (1, 2, 10))
        conversation = conversation_id_of(one, two)
        assert await texts(connection, conversation) == {
            str(ids[name]): text
            for name, text in (
                ("first", "first"),
                ("answer", "answer"),
                ("unread", "unread \N{SNOWMAN}"),
                ("plain", "plain"),
                ("broken", "broken"),
            )
        }
        other = conversation_id_of(one, ten)
        assert await texts(connection, other) == {str(ids["alone"]): "alone"}
        assert await texts(connection, "group_1") == {str(ids["in group"]): "to all"}
        assert (result.old_messages, result.new_messages, result.left_out) == (9, 7, 2)
        assert (result.kept_plaintext, result.unreadable) == (1, 0)

        # Plaintext is where nothing else can be read, and nowhere beside a ciphertext.
        rows = await connection.fetch(
            "SELECT content, encrypted_content, is_encrypted FROM chat_messages "
            "WHERE content IS NOT NULL ORDER BY seq"
        )
        assert [tuple(row) for row in rows] == [("plain", None, False), ("broken", None, False)]
        answer = await connection.fetchval(
            "SELECT reply_to FROM chat_messages WHERE message_id = $1", str(ids["answer"])
        )
        assert answer == str(ids["first"])

        # Read by 2 up to the answer, by 1 all; 10 has nobody's messages to read.
        positions = await connection.fetch(
            "SELECT o.user_id, o.read_seq FROM room_members o JOIN dm_conversations d "
            "USING (room_id) WHERE conversation_id = $1 ORDER BY o.user_id",
            conversation,
        )
        assert [tuple(row) for row in positions] == [(one, 5), (two, 2)]
        hidden = await connection.fetch(
            "SELECT c.user_id, c.hidden_seq FROM conversation_removals c "
            "JOIN dm_conversations d USING (room_id) WHERE conversation_id = $1",
            other,
        )
        assert [tuple(row) for row in hidden] == [(one, 1)]

        # Of two reactions of one user the later one is left.
        reactions = await connection.fetch(
            "SELECT x.user_id, x.reaction, m.changed_rev FROM chat_reactions x "
            "JOIN chat_messages m USING (room_id, seq) WHERE m.message_id = $1 ORDER BY 1",
            str(ids["first"]),
        )
        assert [tuple(row) for row in reactions] == [(one, "+1", 1), (two, "heart", 1)]
        removed = await connection.fetch(
            "SELECT x.user_id, m.message_id FROM message_removals x "
            "JOIN chat_messages m USING (room_id, seq)"
        )
        assert [tuple(row) for row in removed] == [(one, str(ids["answer"]))]

        # Nobody owned the group: who made it does now. Unknown roles are those of members.
        members = await connection.fetch(
            "SELECT user_id, role FROM group_participants ORDER BY role DESC, user_id"
        )
        three = str(server.user(3))
        assert [tuple(row) for row in members] == [
            (one, "owner"),
            *[(user, "member") for user in sorted((two, three))],
        ]
        events = await connection.fetch("SELECT b.* FROM event_bodies b")
        assert len(events) == 1
        assert "secret" not in str(events)
        body = OwnRow(*(events[0][name] for name in OwnRow._fields[:4]))
        opened = json.loads(Cipher(keys).open(body, context_of(None)))
        assert (opened["type"], opened["message"]["content"]) == ("message_edited", "secret")
        assert await connection.fetchval("SELECT user_id FROM event_queue") == two
        assert await connection.fetchval("SELECT username FROM chat_users") == "fallback"

        # What was there before lies where it was put, as it was, and comes back.
        kept = await dump(connection, "before_fastchat")
        assert set(kept) == {*server.names.values(), "chat_users"}
        assert kept.items() <= before.items()
        assert await migrations.migrate(connection) == []
        async with connected(fresh) as other_connection:
            await go_back(other_connection)
        assert await dump(connection) == before
        assert await connection.fetchval("SELECT count(*) FROM after_fastchat.chat_messages") == 7


MORE_COLUMNS = """
ALTER TABLE chat_messages ADD is_deleted integer, ADD edited_at timestamp, ADD is_pinned boolean,
    ADD is_announcement boolean, ADD encryption_scheme text;
ALTER TABLE group_participants ADD last_read_at timestamptz, ADD can_add_members boolean,
    ADD left_at timestamptz;
ALTER TABLE chat_groups ADD deleted_at timestamptz;
ALTER TABLE offline_events ADD is_delivered boolean;
"""


async def test_columns_that_only_some_have_are_used_where_they_are(fresh):
    async with connected(fresh) as connection:
        tokyo = timedelta(hours=9)
        server = Previous(connection, time_type="timestamp")
        await server.create()
        await connection.execute(MORE_COLUMNS)
        gone = await server.say(2, 10, "gone", is_deleted=1)
        edited = await server.say(2, 10, "edited", edited_at=server.time(server.now))
        await server.insert("reactions", message_id=gone, user_id=2, reaction="+1")
        # The other format, bound to the conversation as fastchat names it.
        gcm = Cipher(keys, "gcm").seal("sealed by gcm", "conv_10_2", "2")
        columns = ("encrypted_content", "encryption_iv", "encryption_scheme")
        await server.say(2, 10, "x", **{name: getattr(gcm, name) for name in columns})
        await server.insert("groups", group_id="g", group_name="G", created_by=1)
        await server.insert("groups", group_id="d", group_name="D", created_by=1, deleted_at=START)
        for group in ("g", "d"):
            await server.insert("members", group_id=group, user_id=1, role="owner")
        await server.say(1, None, "seen", group="g", is_pinned=True)
        seen_at = server.now - tokyo
        for text in ("new", "newest"):
            await server.say(1, None, text, group="g", is_announcement=True)
        more = {"role": "Admin", "last_read_at": seen_at, "can_add_members": True}
        await server.insert("members", group_id="g", user_id=2, **more)
        await server.insert("members", group_id="g", user_id=3, left_at=START)
        await server.insert("events", user_id=2, event_data='"none"', event_type="x")
        await server.insert("events", user_id=2, event_data="{}", event_type="x", is_delivered=True)
        # Deleted by its old id, which is made by number and not by text.
        removal = {"conversation_id": "conv_2_10", "user_id": 2}
        await server.insert(
            "conversation_removals", **removal, deleted_at=START + seconds(2) - tokyo
        )

        # What the zone was at the start holds to the end.
        async with adopting(fresh) as adoption:
            await adoption.connection.execute("SET TimeZone = 'Asia/Tokyo'")
            await adoption.copy()
        result = await switch(fresh)
        assert (result.left_out, result.kept_plaintext, result.unreadable) == (0, 0, 0)

        rows = await connection.fetch(
            "SELECT * FROM chat_messages WHERE conversation_id = 'conv_10_2' ORDER BY seq"
        )
        assert [row["created_at"] for row in rows[:2]] == [
            START + seconds(n) - tokyo for n in (1, 2)
        ]
        assert (rows[0]["message_id"], rows[0]["is_deleted"]) == (str(gone), True)
        assert [rows[0][n] for n in ("content", "encrypted_content", "changed_rev")] == [
            None,
            None,
            1,
        ]
        assert rows[1]["message_id"] == str(edited)
        assert (rows[1]["edited_at"], rows[1]["changed_rev"]) == (rows[0]["created_at"], 2)
        opened = await texts(connection, "conv_10_2")
        assert list(opened.values()) == ["edited", "sealed by gcm"]
        assert await connection.fetchval("SELECT count(*) FROM chat_reactions") == 0
        hidden = await connection.fetchrow("SELECT user_id, hidden_seq FROM conversation_removals")
        assert tuple(hidden) == ("2", 2)
        flags = await connection.fetch(
            "SELECT pinned_at IS NOT NULL, is_announcement FROM chat_messages "
            "WHERE group_id = 'g' ORDER BY seq"
        )
        assert [tuple(row) for row in flags] == [(True, False), (False, True), (False, True)]
        members = await connection.fetch(
            "SELECT p.user_id, p.role, p.can_add_members, o.read_seq FROM group_participants p "
            "JOIN room_members o USING (room_id, user_id) ORDER BY p.user_id"
        )
        assert [tuple(row)[:3] for row in members] == [("1", "owner", False), ("2", "admin", True)]
        assert members[1]["read_seq"] == 1
        gone = "SELECT group_id FROM chat_groups WHERE deleted_at IS NOT NULL"
        assert await connection.fetchval(gone) == "d"
        assert await connection.fetchval("SELECT count(*) FROM event_queue") == 0


async def test_a_dry_run_reports_and_changes_nothing(fresh, previous):
    connection = previous.connection
    before = await inventory(connection), await dump(connection)
    lines = await lines_of(fresh)
    assert "ok messages: 9 rows in public.chat_messages" in lines
    assert "ok texts: 7 with plaintext beside the ciphertext: it is emptied" in lines
    assert "note left out: 1 messages without sender or recipient" in lines
    assert "note left out: 1 messages of groups that are gone" in lines
    assert "note key: opens 6 of 7 ciphertexts that were tried" in lines
    assert not any(line.startswith("FAIL") for line in lines)
    # A wrong key is seen before anything is copied.
    lines = await lines_of(fresh, key="another key, of 32 characters !!")
    (line,) = [line for line in lines if line.startswith("FAIL")]
    assert "expected CHAT_ENCRYPTION_KEY of the previous server" in line
    assert (await inventory(connection), await dump(connection)) == before


async def test_a_row_of_the_copy_that_was_changed_is_detected_and_mended(fresh, previous):
    connection = previous.connection
    await copy(fresh)
    # As if all had been copied, and not been compared.
    await connection.execute(
        "DELETE FROM fastchat_adoption.state WHERE name IN ('compared done', 'compared at')"
    )
    await connection.execute("UPDATE fastchat_next.chat_messages SET sender_id = '7' WHERE seq = 3")
    with pytest.raises(Difference, match=f"digests differ.*{previous.ids['unread']}"):
        await switch(fresh)
    assert await connection.fetchval("SELECT count(*) FROM chat_messages") == 9
    result = await switch(fresh)
    assert result.new_messages == 7
    assert await connection.fetchval("SELECT sender_id FROM chat_messages WHERE seq = 3") == "1"


async def test_a_missing_row_keeps_the_places_and_an_abandoned_copy_leaves_nothing(fresh, previous):
    connection = previous.connection
    before = await inventory(connection)
    await copy(fresh)
    await connection.execute("DELETE FROM fastchat_next.chat_messages WHERE seq = 5")
    with pytest.raises(Difference, match=r"old table has 9 messages, the copy 6.*expected 7"):
        await switch(fresh)
    assert await connection.fetchval("SELECT count(*) FROM chat_messages") == 9
    async with connected(fresh) as other:
        assert await abandon(other)
        assert not await abandon(other)
    assert await inventory(connection) == before


DAMAGES = {
    "reactions": "UPDATE fastchat_next.chat_reactions SET reaction = 'x'",
    "members": "DELETE FROM fastchat_next.group_participants WHERE user_id = '2'",
    "groups": "UPDATE fastchat_next.chat_groups SET group_name = 'other'",
    "message_removals": "DELETE FROM fastchat_next.message_removals",
    "events": "DELETE FROM fastchat_adoption.events",
    "users": "UPDATE fastchat_next.chat_users SET username = 'other'",
}


async def test_a_difference_in_any_other_table_is_detected(fresh, previous):
    async with adopting(fresh) as adoption:
        await adoption.copy()
        assert {compared.kind for compared in await adoption.comparer.others()} == set(DAMAGES)
        for kind, damage in DAMAGES.items():
            transaction = adoption.connection.transaction()
            await transaction.start()
            await adoption.connection.execute(damage)
            with pytest.raises(Difference, match=f"^{kind}: found"):
                await adoption.comparer.others()
            await transaction.rollback()


async def test_a_column_of_an_unusual_name_is_asked_for_and_can_be_named(fresh, previous):
    connection = previous.connection
    await connection.execute("ALTER TABLE chat_reactions RENAME reaction TO symbol")
    lines = await lines_of(fresh)
    assert any("--column reactions.reaction=NAME" in line for line in lines)
    with pytest.raises(AdoptionError, match="no column reaction or emoji"):
        await copy(fresh)
    await switch(fresh, given={"reactions.reaction": "symbol"})
    assert await connection.fetchval("SELECT count(*) FROM chat_reactions") == 2
    with pytest.raises(AdoptionError, match=r"reactions\.colour: expected one of"):
        async with connected(fresh) as other:
            await find(other, {"reactions.colour": "symbol"})


async def test_tables_of_fastchat_make_room_while_they_are_empty_and_not_later(fresh):
    with pytest.raises(AdoptionError, match="chat_messages or private_messages"):
        await copy(fresh)
    async with connected(fresh) as connection:
        server = Previous(connection, SECOND)
        await server.create()
        await connection.execute("DROP TABLE event_queue, chat_users")
        await migrations.migrate(connection)
        await server.say(1, 2, "hello")
        await connection.execute("INSERT INTO chat_rooms (seq) VALUES (0)")
        assert any("in use" in line for line in await lines_of(fresh))
        with pytest.raises(AdoptionError, match="in use"):
            await switch(fresh)
        await connection.execute("DELETE FROM chat_rooms")
        assert not any(line.startswith("FAIL") for line in await lines_of(fresh))
        await switch(fresh)
        assert list(await texts(connection, "conv_1_2")) != []


async def test_a_table_of_somebody_else_under_a_name_of_fastchat_is_left_alone(fresh, previous):
    await previous.connection.execute("CREATE TABLE lane_commits (n integer)")
    assert any(
        line.startswith("FAIL schema public: public.lane_commits") for line in await lines_of(fresh)
    )
    with pytest.raises(AdoptionError, match="neither the previous server's nor fastchat's"):
        await switch(fresh)
    assert await previous.connection.fetchval("SELECT count(*) FROM chat_messages") == 9


async def test_after_the_switch_nothing_is_taken_over_again_and_the_old_server_is_refused(
    fresh, previous
):
    async with connected(fresh) as connection:
        with pytest.raises(AdoptionError, match="nothing to go back from"):
            await go_back(connection)
    await switch(fresh)
    with pytest.raises(AdoptionError, match="taken over already"):
        await copy(fresh)
    async with connected(fresh) as connection:
        with pytest.raises(AdoptionError, match="--back"):
            await abandon(connection)
    with pytest.raises(asyncpg.PostgresError):
        await previous.say(1, 2, "too late")
    assert len(await texts(previous.connection, "conv_1_2")) == 5


async def test_one_adopts_at_a_time(fresh, previous, monkeypatch):
    monkeypatch.setattr("fastchat.store.adoption.state.LOCK_PATIENCE", 0.1)
    async with adopting(fresh) as one:
        await one.copy()
        with pytest.raises(AdoptionError, match=r"another .fastchat adopt. has been at work"):
            await copy(fresh)
