import asyncio
from dataclasses import dataclass

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.backend import BackendTables
from fastchat.store.changes import RETRY_BLOCKS, Changes, Deleted, Edited, Refusal
from fastchat.store.history import History
from fastchat.store.messages import MessageRef
from fastchat.store.rooms import Rooms
from tests.functional.store.reading import (
    ID_TYPES,
    USERS,
    native,
    open_pool,
    retype,
    store_messages,
    tables,
)
from tests.functional.store.writing import make_writer


@dataclass(frozen=True)
class Sealed:
    content: str | None = None
    encrypted_content: str | None = "c0de"
    encryption_iv: str | None = "1f"
    encryption_scheme: str | None = "gcm:k"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database):
    async with open_pool(database, size=8) as pool:
        yield pool


@pytest.fixture
async def writer(database):
    writer = make_writer(database)
    yield writer
    await writer.stop(10.0)


@pytest.fixture
async def changes(writer, pool):
    return Changes(writer, pool, tables("bigint"))


@pytest.fixture
async def room(pool, connection):
    """The conversation of the users 1 and 2; the messages 1 and 3 are by user 1, 2 by user 2."""
    room = await Rooms(pool, tables("bigint")).open_conversation("1", "2")
    await store_messages(connection, room.room_id, ["1", "2", "1"])
    return room


def at(room, seq, old_id=None):
    return MessageRef(room.room_id, seq, old_id)


async def rev_of(connection, room):
    return await connection.fetchval("SELECT rev FROM chat_rooms WHERE room_id = $1", room.room_id)


async def stored(connection, room, seq):
    return await connection.fetchrow(
        "SELECT * FROM chat_messages WHERE room_id = $1 AND seq = $2", room.room_id, seq
    )


CHANGES = {
    "edit": lambda changes, room, ref, user: changes.edit(room, ref, user, Sealed()),
    "delete": lambda changes, room, ref, user: changes.delete_for_everyone(room, ref, user),
    "remove": lambda changes, room, ref, user: changes.remove_for_user(room, ref, user),
}


@pytest.fixture(params=CHANGES)
def change(request, changes):
    """Each change in turn, as ``change(room, ref, user_id)``."""
    return lambda *what: CHANGES[request.param](changes, *what)


async def test_an_edit_replaces_the_content_and_counts_as_a_change(changes, room, connection):
    outcome = await changes.edit(room, at(room, 1), "1", Sealed())
    assert isinstance(outcome, Edited)
    assert outcome.rev == 4 == await rev_of(connection, room)
    row = await stored(connection, room, 1)
    assert (row["encrypted_content"], row["encryption_iv"]) == ("c0de", "1f")
    assert (row["encryption_scheme"], row["is_encrypted"], row["content"]) == ("gcm:k", True, None)
    assert (row["rev"], row["changed_rev"]) == (1, 4)
    assert row["edited_at"] == row["updated_at"]
    assert row["edited_at"].timestamp() == pytest.approx(outcome.edited_at)


async def test_an_edit_in_plaintext_leaves_no_ciphertext_behind(changes, room, connection):
    await changes.edit(room, at(room, 1), "1", Sealed())
    await changes.edit(room, at(room, 1), "1", Sealed("plain", None, None, None))
    row = await stored(connection, room, 1)
    assert (row["content"], row["encrypted_content"], row["encryption_iv"]) == ("plain", None, None)
    assert not row["is_encrypted"]


async def test_a_deletion_for_everyone_erases_the_content(changes, room, connection):
    await changes.edit(room, at(room, 1), "1", Sealed())
    assert await changes.delete_for_everyone(room, at(room, 1), "1") == Deleted(5, is_new=True)
    row = await stored(connection, room, 1)
    assert [value for name, value in row.items() if "content" in name or "encryption" in name] == [
        None
    ] * 4
    assert row["is_deleted"]
    assert (row["changed_rev"], await rev_of(connection, room)) == (5, 5)


async def test_repeating_a_deletion_is_answered_as_if_done(changes, room, connection):
    await changes.delete_for_everyone(room, at(room, 1), "1")
    assert await changes.delete_for_everyone(room, at(room, 1), "1") == Deleted(4, is_new=False)
    assert await rev_of(connection, room) == 4


async def test_an_own_removal_hides_the_message_from_this_user_only(
    changes, room, connection, pool
):
    assert await changes.remove_for_user(room, at(room, 1), "2") == Deleted(3, is_new=True)
    assert await changes.remove_for_user(room, at(room, 1), "2") == Deleted(3, is_new=False)
    history = History(pool, tables("bigint"))
    seen = [await history.last(room.room_id, user) for user in ("1", "2")]
    assert [[message.seq for message in page.messages] for page in seen] == [[1, 2, 3], [2, 3]]
    assert await rev_of(connection, room) == 3


async def test_removing_what_was_deleted_for_everyone_is_answered_as_if_done(changes, room):
    await changes.delete_for_everyone(room, at(room, 1), "1")
    assert await changes.remove_for_user(room, at(room, 1), "2") == Deleted(4, is_new=False)


async def test_what_is_not_there_is_not_found(change, room, connection, pool):
    elsewhere = await Rooms(pool, tables("bigint")).open_conversation("1", "3")
    await store_messages(connection, elsewhere.room_id, ["1"])
    for ref in (
        at(room, 4),
        at(elsewhere, 1),
        at(room, 1, "an old id"),
        MessageRef(room.room_id + 99, 1),
        at(room, (1 << 63) - 1),
    ):
        assert await change(room, ref, "1") is Refusal.NOT_FOUND
    assert await rev_of(connection, room) == 3


async def test_for_a_stranger_nothing_is_there(change, room, connection):
    for stranger in ("3", "", "1 ", "__proto__"):
        assert await change(room, at(room, 1), stranger) is Refusal.NOT_FOUND
    assert await rev_of(connection, room) == 3


async def test_a_row_of_the_previous_server_answers_to_its_own_id_only(change, room, connection):
    await connection.execute("UPDATE chat_messages SET message_id = 'old' WHERE seq = 1")
    assert await change(room, at(room, 1), "1") is Refusal.NOT_FOUND
    assert isinstance(await change(room, at(room, 1, "old"), "1"), Edited | Deleted)


@pytest.mark.parametrize("name", ["edit", "delete"])
async def test_only_the_author_changes_a_message_for_others(changes, room, connection, name):
    assert await CHANGES[name](changes, room, at(room, 1), "2") is Refusal.NOT_AUTHOR
    assert (await stored(connection, room, 1))["content"] == "text 1"
    assert await rev_of(connection, room) == 3


@pytest.mark.parametrize("name", ["edit", "delete"])
async def test_a_message_one_has_removed_is_not_there(changes, room, name):
    await changes.remove_for_user(room, at(room, 1), "1")
    assert await CHANGES[name](changes, room, at(room, 1), "1") is Refusal.NOT_FOUND


async def test_a_deleted_message_is_there_for_nobody(changes, room, connection):
    await changes.delete_for_everyone(room, at(room, 1), "1")
    for user in ("1", "2"):
        assert await changes.edit(room, at(room, 1), user, Sealed()) is Refusal.NOT_FOUND
    assert await changes.delete_for_everyone(room, at(room, 1), "2") is Refusal.NOT_FOUND
    assert (await stored(connection, room, 1))["encrypted_content"] is None


async def test_the_edit_window_closes(writer, pool, room, connection):
    changes = Changes(writer, pool, tables("bigint"), edit_window=300.0)
    age = "UPDATE chat_messages SET created_at = now() - interval '299 s' WHERE seq = 1"
    await connection.execute(age)
    assert isinstance(await changes.edit(room, at(room, 1), "1", Sealed()), Edited)
    await connection.execute(age.replace("299", "300"))
    assert await changes.edit(room, at(room, 1), "1", Sealed()) is Refusal.TOO_OLD
    # A deletion has no window.
    assert isinstance(await changes.delete_for_everyone(room, at(room, 1), "1"), Deleted)


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_a_block_either_way_stops_edits_but_no_deletion(connection, writer, pool, id_type):
    await retype(connection, id_type)
    one, other, third = USERS[id_type]
    changes = Changes(writer, pool, tables(id_type))
    for number, second in enumerate((other, third)):
        room = await Rooms(pool, tables(id_type)).open_conversation(one, second)
        await store_messages(connection, room.room_id, [one])
        assert isinstance(await changes.edit(room, at(room, 1), one, Sealed()), Edited)
        pair = (one, second) if number else (second, one)
        await connection.execute(
            "INSERT INTO blocked_relationships VALUES ($1, $2)",
            *(native(user, id_type) for user in pair),
        )
        assert await changes.edit(room, at(room, 1), one, Sealed()) is Refusal.BLOCKED
        assert isinstance(await changes.delete_for_everyone(room, at(room, 1), one), Deleted)


async def test_blocks_that_cannot_be_read_stop_no_edit_and_are_looked_for_again(
    writer, pool, room, connection, caplog
):
    clock = Clock()
    changes = Changes(writer, pool, tables("bigint"), clock=clock)
    await connection.execute("ALTER TABLE blocked_relationships RENAME TO away")
    for _ in range(3):
        assert isinstance(await changes.edit(room, at(room, 1), "1", Sealed()), Edited)
    assert changes.fail_open == 3
    assert len(caplog.records) == 1
    await connection.execute(
        "ALTER TABLE away RENAME TO blocked_relationships;"
        "INSERT INTO blocked_relationships VALUES (2, 1)"
    )
    clock.now += RETRY_BLOCKS
    assert await changes.edit(room, at(room, 1), "1", Sealed()) is Refusal.BLOCKED


async def test_blocks_that_cannot_be_read_stop_edits_where_that_is_wanted(
    writer, pool, room, connection
):
    changes = Changes(writer, pool, tables("bigint"), block_check_fail_open=False)
    await connection.execute("DROP TABLE blocked_relationships")
    with pytest.raises(ServiceUnavailable):
        await changes.edit(room, at(room, 1), "1", Sealed())
    assert await rev_of(connection, room) == 3


async def test_without_a_block_table_edits_pass_uncounted(writer, pool, room):
    changes = Changes(writer, pool, BackendTables(id_type="bigint"))
    assert isinstance(await changes.edit(room, at(room, 1), "1", Sealed()), Edited)
    assert changes.fail_open == 0


async def test_a_change_that_waits_for_the_room_sees_what_was_done_meanwhile(
    changes, room, connection
):
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        "UPDATE chat_rooms SET rev = rev + 1, seq = seq + 1 WHERE room_id = $1", room.room_id
    )
    # Written after the waiting statements took their snapshots.
    edits = [
        asyncio.ensure_future(changes.edit(room, at(room, seq), "1", Sealed())) for seq in (1, 3)
    ]
    async with asyncio.timeout(5.0):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    await connection.execute(
        "UPDATE chat_messages SET is_deleted = true, content = NULL WHERE room_id = $1 AND seq = 1",
        room.room_id,
    )
    await transaction.commit()
    async with asyncio.timeout(5.0):
        assert await edits[0] is Refusal.NOT_FOUND
        assert (await edits[1]).rev == 5
    assert (await stored(connection, room, 1))["encrypted_content"] is None
    assert await rev_of(connection, room) == 5


async def test_changes_of_many_at_once_get_each_a_rev_of_its_own(changes, room, connection):
    outcomes = await asyncio.gather(
        *(changes.edit(room, at(room, seq), "1", Sealed()) for seq in (1, 3) for _ in range(20)),
        *(changes.delete_for_everyone(room, at(room, 2), "2") for _ in range(20)),
    )
    edits, deletions = outcomes[:40], outcomes[40:]
    assert sum(deletion.is_new for deletion in deletions) == 1
    revs = [edit.rev for edit in edits] + [one.rev for one in deletions if one.is_new]
    assert sorted(revs) == list(range(4, 45))
    assert await rev_of(connection, room) == 44
    latest = {seq: (await stored(connection, room, seq))["changed_rev"] for seq in (1, 3)}
    assert latest[1] == max(edit.rev for edit in edits[:20])
    assert latest[3] == max(edit.rev for edit in edits[20:])


async def test_without_a_database_no_removal_is_said_to_be_done(changes, pool, room):
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await changes.remove_for_user(room, at(room, 1), "1")
