import asyncio

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.annotations import Annotated, Annotations, Kind
from fastchat.store.changes import RETRY_BLOCKS, Changes, Refusal
from fastchat.store.rooms import Rooms
from tests.functional.store.changing import at, members, open_rooms
from tests.functional.store.reading import ID_TYPES, USERS, open_pool, retype, tables
from tests.functional.store.writing import Columns, make_message, make_writer, send

REACTIONS = "SELECT user_id, reaction FROM chat_reactions ORDER BY user_id"


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
async def writer(database):
    writer = make_writer(database)
    yield writer
    await writer.stop(10.0)


@pytest.fixture
async def room(database, writer):
    """The conversation of users 1 and 2, with two messages of user 1."""
    (room,) = await open_rooms(database, 1)
    await send(writer, make_message(members(room), "aa"), make_message(members(room), "bb"))
    return room


@pytest.fixture
async def annotations(writer):
    return Annotations(writer, tables("bigint"), clock=Clock())


async def reactions(connection):
    return [tuple(row) for row in await connection.fetch(REACTIONS)]


async def test_a_reaction_is_kept_one_of_each_user(annotations, room, connection):
    react = annotations.annotate
    assert await react(Kind.REACT, room, at(room, 1), "2", "👍") == Annotated(3)
    assert await react(Kind.REACT, room, at(room, 1), "1", "👍") == Annotated(4)
    assert await react(Kind.REACT, room, at(room, 1), "2", "🎉") == Annotated(5)
    assert await reactions(connection) == [("1", "👍"), ("2", "🎉")]
    row = await connection.fetchrow("SELECT rev, changed_rev FROM chat_messages WHERE seq = 1")
    assert tuple(row) == (1, 5)


async def test_the_same_reaction_again_takes_it_back(annotations, room, connection):
    await annotations.annotate(Kind.REACT, room, at(room, 1), "2", "👍")
    again = await annotations.annotate(Kind.REACT, room, at(room, 1), "2", "👍")
    assert again == Annotated(4, taken_back=True)
    assert await reactions(connection) == []


async def test_removing_a_reaction_that_is_not_there_changes_nothing(annotations, room, connection):
    remove = annotations.annotate
    assert await remove(Kind.UNREACT, room, at(room, 1), "2") == Annotated(2, is_new=False)
    await annotations.annotate(Kind.REACT, room, at(room, 1), "2", "👍")
    assert await remove(Kind.UNREACT, room, at(room, 1), "2") == Annotated(4)
    assert await reactions(connection) == []
    assert await connection.fetchval("SELECT rev FROM chat_rooms") == 4


async def test_a_message_is_pinned_and_unpinned_once(annotations, room, connection):
    annotate = annotations.annotate
    assert await annotate(Kind.PIN, room, at(room, 2), "2") == Annotated(3)
    assert await annotate(Kind.PIN, room, at(room, 2), "1") == Annotated(3, is_new=False)
    pinned = "SELECT seq FROM chat_messages WHERE pinned_at IS NOT NULL"
    assert await connection.fetchval(pinned) == 2
    assert await annotate(Kind.UNPIN, room, at(room, 2), "1") == Annotated(4)
    assert await connection.fetchval(pinned) is None
    assert await annotate(Kind.UNPIN, room, at(room, 2), "1") == Annotated(4, is_new=False)


@pytest.mark.parametrize("kind", list(Kind))
async def test_what_one_does_not_see_cannot_be_annotated(kind, annotations, room, connection):
    await connection.execute("UPDATE chat_messages SET is_deleted = true WHERE seq = 1")
    await connection.execute("INSERT INTO message_removals VALUES ('2', $1, 2)", room.room_id)
    for ref, user_id in (
        (at(room, 1), "1"),
        (at(room, 2), "2"),
        (at(room, 3), "1"),
        (at(room, 2, "an-old-id"), "1"),
        (at(room, 2), "3"),
    ):
        assert await annotations.annotate(kind, room, ref, user_id, "👍") is Refusal.NOT_FOUND
    assert await connection.fetchval("SELECT rev FROM chat_rooms") == 2


@pytest.mark.parametrize("blocker", ["1", "2"])
async def test_blocks_stop_reacting_and_pinning_but_no_taking_back(
    blocker, annotations, room, connection
):
    for kind in (Kind.REACT, Kind.PIN):
        await annotations.annotate(kind, room, at(room, 1), "2", "👍")
    blocked = 3 - int(blocker)
    await connection.execute(
        "INSERT INTO blocked_relationships VALUES ($1, $2)", int(blocker), blocked
    )
    for kind in (Kind.REACT, Kind.PIN):
        result = await annotations.annotate(kind, room, at(room, 2), "2", "🎉")
        assert result is Refusal.BLOCKED
    for kind in (Kind.UNREACT, Kind.UNPIN):
        assert (await annotations.annotate(kind, room, at(room, 1), "2")).is_new


async def test_every_change_has_a_rev_of_its_own_in_the_order_of_asking(annotations, room):
    asked = [
        annotations.annotate(kind, room, at(room, seq), user_id, "👍")
        for seq in (1, 2)
        for user_id in ("1", "2")
        for kind in (Kind.REACT, Kind.PIN, Kind.UNPIN)
    ]
    results = await asyncio.gather(*asked)
    revs = [result.rev for result in results if result.is_new]
    assert sorted(revs) == list(range(3, 3 + len(revs)))
    assert len(revs) == len(asked)


async def test_deleting_a_message_for_everyone_erases_its_reactions_and_its_pin(
    annotations, writer, room, connection, database
):
    await annotations.annotate(Kind.REACT, room, at(room, 1), "2", "👍")
    await annotations.annotate(Kind.REACT, room, at(room, 2), "2", "🎉")
    await annotations.annotate(Kind.PIN, room, at(room, 1), "2")
    async with open_pool(database) as pool:
        changes = Changes(writer, pool, tables("bigint"))
        await changes.delete_for_everyone(room, at(room, 1), "1")
    assert await reactions(connection) == [("2", "🎉")]
    assert not await connection.fetchval("SELECT count(pinned_at) FROM chat_messages")


async def test_annotations_pass_when_only_the_blocks_cannot_be_read(annotations, room, connection):
    await connection.execute("ALTER TABLE blocked_relationships RENAME TO away")
    assert await annotations.annotate(Kind.REACT, room, at(room, 1), "2", "👍") == Annotated(3)
    assert annotations.fail_open == 1
    await connection.execute("ALTER TABLE away RENAME TO blocked_relationships")
    await connection.execute("INSERT INTO blocked_relationships VALUES (1, 2)")
    annotations._clock.now += RETRY_BLOCKS
    result = await annotations.annotate(Kind.REACT, room, at(room, 2), "2", "👍")
    assert result is Refusal.BLOCKED


async def test_annotations_are_refused_without_blocks_when_told_so(writer, room, connection):
    annotations = Annotations(writer, tables("bigint"), block_check_fail_open=False)
    await connection.execute("DROP TABLE blocked_relationships")
    with pytest.raises(ServiceUnavailable):
        await annotations.annotate(Kind.PIN, room, at(room, 1), "2")


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_the_statement_fits_every_type_of_id(id_type, connection, database):
    await retype(connection, id_type)
    one, other, _ = USERS[id_type]
    writer = make_writer(database, Columns(id_type, id_type))
    try:
        annotations = Annotations(writer, tables(id_type))
        async with open_pool(database) as pool:
            room = await Rooms(pool, tables(id_type)).open_conversation(one, other)
        await send(writer, make_message(members(room)))
        result = await annotations.annotate(Kind.REACT, room, at(room, 1), one, "👍")
        assert result == Annotated(2)
    finally:
        await writer.stop(10.0)
