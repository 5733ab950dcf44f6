import asyncio
import random

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.history import History
from fastchat.store.messages import MessageRef
from fastchat.store.rooms import Rooms
from tests.functional.store.reading import open_pool, store_messages, tables


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database):
    async with open_pool(database) as pool:
        yield pool


@pytest.fixture
def history(pool):
    return History(pool, tables("bigint"))


@pytest.fixture
async def room(pool, connection):
    """The conversation of the users 1 and 2: 30 messages, the odd ones by user 1."""
    room = await Rooms(pool, tables("bigint")).open_conversation("1", "2")
    await store_messages(connection, room.room_id, ["1", "2"] * 15)
    return room


def seqs(page):
    return [message.seq for message in page.messages]


async def test_the_last_page_is_the_newest_messages_oldest_first(history, room):
    page = await history.last(room.room_id, "1", 5)
    assert seqs(page) == [26, 27, 28, 29, 30]
    assert page.has_more


async def test_a_page_that_holds_everything_has_no_more(history, room):
    assert await history.page(room.room_id, "1", 30) == await history.last(room.room_id, "1", 200)
    assert not (await history.page(room.room_id, "1", 30)).has_more
    assert (await history.page(room.room_id, "1", 29)).has_more


@pytest.mark.parametrize(
    ("arguments", "expected", "has_more"),
    [
        ({"offset": 3}, [23, 24, 25, 26, 27], True),
        ({"offset": 28}, [1, 2], False),
        ({"offset": 30}, [], False),
        ({"offset": 10**30}, [], False),
        ({"before": 6}, [1, 2, 3, 4, 5], False),
        ({"before": 7}, [2, 3, 4, 5, 6], True),
        ({"before": 1}, [], False),
        ({"before": -(10**30)}, [], False),
        ({"before": 10**30}, [26, 27, 28, 29, 30], True),
        ({"before": 20, "offset": 2}, [13, 14, 15, 16, 17], True),
        ({"after": 0}, [1, 2, 3, 4, 5], True),
        ({"after": 25}, [26, 27, 28, 29, 30], False),
        ({"after": 28}, [29, 30], False),
        ({"after": 30}, [], False),
        ({"after": 10**30}, [], False),
        ({"after": -(10**30)}, [1, 2, 3, 4, 5], True),
        ({"after": 10, "before": 14}, [11, 12, 13], False),
    ],
)
async def test_a_page_may_begin_anywhere(history, room, arguments, expected, has_more):
    page = await history.page(room.room_id, "1", 5, **arguments)
    assert seqs(page) == expected
    assert page.has_more == has_more


async def test_rooms_without_messages_have_empty_pages(history, pool):
    room = await Rooms(pool, tables("bigint")).open_conversation("1", "2")
    assert await history.last(room.room_id, "1") == ([], False)
    assert await history.last(room.room_id + 1, "1") == ([], False)


async def test_hidden_messages_are_left_out_and_not_counted(history, room, connection):
    await connection.execute(
        "UPDATE chat_messages SET is_deleted = true WHERE room_id = $1 AND seq IN (30, 20, 10)",
        room.room_id,
    )
    await connection.executemany(
        "INSERT INTO message_removals (user_id, room_id, seq) VALUES ($1, $2, $3)",
        [("1", room.room_id, 29), ("1", room.room_id, 20), ("2", room.room_id, 28)],
    )
    assert seqs(await history.page(room.room_id, "1", 3)) == [26, 27, 28]
    assert seqs(await history.page(room.room_id, "2", 3)) == [26, 27, 29]
    assert seqs(await history.page(room.room_id, "1", 3, offset=8)) == [17, 18, 19]
    assert seqs(await history.page(room.room_id, "1", 3, after=8)) == [9, 11, 12]
    assert seqs(await history.page(room.room_id, "1", 3, before=12)) == [8, 9, 11]


@pytest.mark.parametrize("seed", range(5))
async def test_pages_by_offset_are_slices_of_what_is_visible(history, room, connection, seed):
    chance = random.Random(seed)
    density = chance.choice([0.1, 0.5, 0.9])
    deleted, removed = (
        {seq for seq in range(1, 31) if chance.random() < density / 2} for _ in range(2)
    )
    await connection.execute(
        "UPDATE chat_messages SET is_deleted = true WHERE room_id = $1 AND seq = ANY ($2)",
        room.room_id,
        list(deleted),
    )
    await connection.executemany(
        "INSERT INTO message_removals (user_id, room_id, seq) VALUES ('1', $1, $2)",
        [(room.room_id, seq) for seq in removed],
    )
    visible = [seq for seq in range(30, 0, -1) if seq not in deleted | removed]
    questions = [
        (limit, offset, before)
        for limit in (1, 4, 30)
        for offset in range(32)
        for before in (None, 31, 17, 2)
    ]
    pages = await asyncio.gather(
        *(
            history.page(room.room_id, "1", limit, offset, before)
            for limit, offset, before in questions
        )
    )
    for (limit, offset, before), page in zip(questions, pages, strict=True):
        counted = [seq for seq in visible if before is None or seq < before]
        expected = counted[offset : offset + limit]
        assert seqs(page) == expected[::-1], (limit, offset, before)
        assert page.has_more == (len(counted) > offset + limit)


async def test_pages_of_one_turn_are_one_query(history, room, pool):
    queries = pool.queries
    first, second, third = await asyncio.gather(
        history.page(room.room_id, "1", 2),
        history.page(room.room_id, "2", 3, offset=1),
        history.page(room.room_id + 99, "2", 3),
    )
    assert [seqs(page) for page in (first, second, third)] == [[29, 30], [27, 28, 29], []]
    assert pool.queries == queries + 1


async def test_a_message_is_read_when_its_recipient_has_read_so_far(history, room, connection):
    await connection.execute(
        "UPDATE room_members SET read_seq = CASE user_id WHEN '1' THEN 28 ELSE 27 END "
        "WHERE room_id = $1",
        room.room_id,
    )
    expected = {25: True, 26: True, 27: True, 28: True, 29: False, 30: False}
    for reader in ("1", "2"):
        for page in (
            await history.last(room.room_id, reader, 6),
            await history.page(room.room_id, reader, 6, after=24),
        ):
            assert {message.seq: message.is_read for message in page.messages} == expected
    for seq, is_read in expected.items():
        assert (await history.fetch_message(room.room_id, seq)).is_read == is_read


async def test_a_row_comes_with_all_that_was_stored(history, room, connection):
    await connection.execute(
        """
        UPDATE chat_messages SET created_at = to_timestamp(1700000000.123),
            edited_at = to_timestamp(1700000060.5), changed_rev = 44, message_id = 'old',
            reply_to = 'older', client_message_id = 'c1', is_encrypted = true, content = NULL,
            encrypted_content = 'aa', encryption_iv = 'bb', encryption_scheme = 'cbc:k',
            is_read = true
        WHERE room_id = $1 AND seq = 30
        """,
        room.room_id,
    )
    page = await history.last(room.room_id, "1", 2)
    for message in (page.messages[1], await history.fetch_message(room.room_id, 30)):
        assert (message.seq, message.rev, message.sender_id) == (30, 44, "2")
        assert message.created_at == pytest.approx(1700000000.123)
        assert message.edited_at == pytest.approx(1700000060.5)
        assert (message.old_id, message.reply_to, message.client_message_id) == (
            "old",
            "older",
            "c1",
        )
        assert (message.is_encrypted, message.content) == (True, None)
        sealed = (message.encrypted_content, message.encryption_iv, message.encryption_scheme)
        assert sealed == ("aa", "bb", "cbc:k")
        assert (message.is_deleted, message.is_read) == (False, True)
        assert message.message_id(room.room_id) == "old"
    plain = page.messages[0]
    assert (plain.rev, plain.content, plain.edited_at) == (29, "text 29", None)
    assert plain.message_id(room.room_id) == f"{room.room_id}-29"


async def test_one_message_is_found_even_if_it_is_deleted(history, room, connection):
    await connection.execute(
        "UPDATE chat_messages SET is_deleted = true, content = NULL WHERE room_id = $1 AND seq = 3",
        room.room_id,
    )
    found, missing, elsewhere = await asyncio.gather(
        history.fetch_message(room.room_id, 3),
        history.fetch_message(room.room_id, 31),
        history.fetch_message(room.room_id + 1, 3),
    )
    assert (found.seq, found.is_deleted) == (3, True)
    assert missing is None
    assert elsewhere is None


async def test_ids_of_both_servers_point_to_their_messages(history, room, connection, pool):
    old_id = "6f2c1a9e-0000-4000-8000-000000000001"
    await connection.execute(
        "UPDATE chat_messages SET message_id = $2 WHERE room_id = $1 AND seq = 3",
        room.room_id,
        old_id,
    )
    queries = pool.queries
    assert await history.resolve(f"{room.room_id}-3") == MessageRef(room.room_id, 3)
    assert pool.queries == queries
    assert await history.resolve(old_id) == MessageRef(room.room_id, 3, old_id)
    assert await history.resolve(old_id.upper()) is None
    assert await history.resolve("__proto__") is None


async def test_a_database_that_is_away_is_no_empty_page(history, pool):
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await history.last(1, "1")


@pytest.mark.parametrize("hidden", ["few", "many", "a block", "nearly all"])
async def test_pages_far_back_are_slices_of_what_is_visible(pool, history, connection, hidden):
    room = await Rooms(pool, tables("bigint")).open_conversation("1", "2")
    await store_messages(connection, room.room_id, ["1"] * 1500)
    chance = random.Random(hidden)
    density = {"few": 0.01, "many": 0.5, "a block": 0.02, "nearly all": 0.97}[hidden]
    gone = {seq for seq in range(1, 1501) if chance.random() < density}
    if hidden == "a block":
        gone.update(range(1000, 1390))
    # Some both ways: they count once.
    deleted = {seq for seq in gone if chance.random() < 0.6}
    removed = {seq for seq in gone if seq not in deleted or chance.random() < 0.3}
    await connection.execute(
        "UPDATE chat_messages SET is_deleted = true WHERE room_id = $1 AND seq = ANY ($2)",
        room.room_id,
        list(deleted),
    )
    await connection.executemany(
        "INSERT INTO message_removals (user_id, room_id, seq) VALUES ('1', $1, $2)",
        [(room.room_id, seq) for seq in removed],
    )
    visible = [seq for seq in range(1500, 0, -1) if seq not in gone]
    offsets = [*range(0, 1510, 37), *range(95, 125), len(visible) - 1, len(visible)]
    pages = await asyncio.gather(*(history.page(room.room_id, "1", 3, one) for one in offsets))
    for offset, page in zip(offsets, pages, strict=True):
        assert seqs(page) == visible[offset : offset + 3][::-1], offset
        assert page.has_more == (len(visible) > offset + 3)
