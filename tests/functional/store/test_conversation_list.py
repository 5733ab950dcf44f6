import asyncio
import random

import asyncpg
import pytest

from fastchat.errors import ResourceNotFound, ServiceUnavailable
from fastchat.store import conversation_list as module
from fastchat.store.conversation_list import ConversationList
from fastchat.store.history import History
from fastchat.store.lookups import QUERY_SETTINGS
from fastchat.store.rooms import Rooms
from tests.functional.store.reading import open_pool, tables


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
def conversations(pool):
    return ConversationList(pool, tables("bigint"))


class Talk:
    """Stores messages one by one, each a second after the one before, whatever the room."""

    def __init__(self, pool, connection):
        self.rooms = Rooms(pool, tables("bigint"))
        self.connection = connection
        self.moment = 1700000000

    async def open(self, one, other):
        return await self.rooms.open_conversation(one, other)

    async def say(self, room, *senders):
        for sender_id in senders:
            self.moment += 1
            seq = await self.connection.fetchval(
                "UPDATE chat_rooms SET seq = seq + 1, rev = rev + 1, last_at = to_timestamp($2) "
                "WHERE room_id = $1 RETURNING seq",
                room.room_id,
                self.moment,
            )
            await self.connection.execute(
                "INSERT INTO chat_messages "
                "(room_id, seq, rev, created_at, sender_id, is_encrypted, content) "
                "VALUES ($1, $2, $2, to_timestamp($3), $4, false, $5)",
                room.room_id,
                seq,
                self.moment,
                sender_id,
                f"text {seq}",
            )

    async def mark(self, statement, room, *arguments):
        await self.connection.execute(statement, room.room_id, *arguments)

    async def delete(self, room, *seqs):
        await self.mark(
            "UPDATE chat_messages SET is_deleted = true WHERE room_id = $1 AND seq = ANY ($2)",
            room,
            seqs,
        )

    async def remove(self, room, user_id, *seqs):
        await self.mark(
            "INSERT INTO message_removals (room_id, user_id, seq) SELECT $1, $2, unnest($3::int[])",
            room,
            user_id,
            seqs,
        )

    async def read(self, room, user_id, seq):
        await self.mark(
            "UPDATE room_members SET read_seq = $3 WHERE room_id = $1 AND user_id = $2",
            room,
            user_id,
            seq,
        )


@pytest.fixture
def talk(pool, connection):
    return Talk(pool, connection)


def others(page, user_id="1"):
    return [entry.room.other(user_id) for entry in page.entries]


async def unread(conversations, user_id):
    (entry,) = (await conversations.page(user_id, 10)).entries
    return entry.unread_count


async def test_conversations_come_newest_first_each_with_its_last_message(conversations, talk):
    with_2, with_3, with_4 = [await talk.open("1", other) for other in "234"]
    await talk.say(with_3, "3", "1")
    await talk.say(with_4, "4")
    await talk.say(with_2, "2")
    await talk.say(with_3, "3")
    page = await conversations.page("1", 10)
    assert [entry.room for entry in page.entries] == [with_3, with_2, with_4]
    assert not page.has_more
    first = page.entries[0]
    assert (first.seq, first.rev, first.unread_count) == (3, 3, 2)
    last = first.last_message
    assert (last.seq, last.sender_id, last.content) == (3, "3", "text 3")
    assert last.created_at == 1700000005


async def test_rooms_without_messages_and_rooms_of_others_are_not_listed(conversations, talk):
    await talk.open("1", "2")
    await talk.say(await talk.open("3", "4"), "3")
    assert await conversations.page("1", 10) == ([], False)
    assert await conversations.page("nobody", 10) == ([], False)


async def test_pages_go_on_by_offset_and_behind_a_conversation(conversations, talk):
    rooms = [await talk.open("1", str(other)) for other in range(2, 9)]
    for room in rooms:
        await talk.say(room, "1")
    assert others(await conversations.page("1", 3)) == ["8", "7", "6"]
    assert (await conversations.page("1", 3)).has_more
    second = await conversations.page("1", 3, offset=3)
    assert others(second) == ["5", "4", "3"]
    assert await conversations.page("1", 3, rooms[4].room_id) == second
    last = await conversations.page("1", 3, rooms[4].room_id, offset=3)
    assert (others(last), last.has_more) == (["2"], False)
    assert await conversations.page("1", 3, rooms[0].room_id) == ([], False)
    assert await conversations.page("1", 3, 987654321) == ([], False)
    assert await conversations.page("1", 3, offset=10**30) == ([], False)


async def test_the_last_message_is_the_last_that_the_reader_sees(conversations, talk):
    room = await talk.open("1", "2")
    await talk.say(room, "1", "2", "1", "2")
    await talk.delete(room, 4)
    await talk.remove(room, "1", 3)
    (mine,) = (await conversations.page("1", 10)).entries
    (his,) = (await conversations.page("2", 10)).entries
    assert (mine.last_message.seq, his.last_message.seq) == (2, 3)


async def test_a_conversation_of_which_nothing_is_visible_is_not_listed(conversations, talk):
    for other in "234":
        await talk.say(await talk.open("1", other), other, "1")
    room = await talk.open("1", "3")
    await talk.delete(room, 2)
    await talk.remove(room, "1", 1)
    page = await conversations.page("1", 2)
    assert (others(page), page.has_more) == (["4", "2"], False)
    assert others(await conversations.page("1", 2, room.room_id)) == ["2"]
    assert others(await conversations.page("3", 2), "3") == ["1"]


async def test_unread_are_visible_messages_of_others_behind_the_read_position(conversations, talk):
    room = await talk.open("1", "2")
    await talk.say(room, *"2212122")
    assert await unread(conversations, "1") == 5
    assert await unread(conversations, "2") == 2
    await talk.read(room, "1", 2)
    assert await unread(conversations, "1") == 3
    await talk.delete(room, 4)
    await talk.remove(room, "1", 6, 5)
    assert await unread(conversations, "1") == 1
    await talk.read(room, "1", 7)
    assert await unread(conversations, "1") == 0
    assert await unread(conversations, "2") == 2


async def test_messages_read_at_the_previous_server_are_not_unread(conversations, talk):
    room = await talk.open("1", "2")
    await talk.say(room, "2", "2", "2")
    await talk.mark("UPDATE chat_messages SET is_read = true WHERE room_id = $1 AND seq < 3", room)
    assert await unread(conversations, "1") == 1


async def test_the_last_message_tells_whether_its_recipient_has_read_it(conversations, talk):
    room = await talk.open("1", "2")
    await talk.say(room, "2", "1")
    await talk.read(room, "1", 2)
    for is_read in (False, True):
        for user_id in "12":
            (entry,) = (await conversations.page(user_id, 10)).entries
            assert entry.last_message.is_read == is_read
        await talk.read(room, "2", 2)


async def test_no_more_than_the_newest_messages_are_searched_for_unread_ones(
    conversations, talk, connection
):
    room = await talk.open("1", "2")
    await connection.execute(
        "INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id) "
        "SELECT $1, n, n, now(), CASE WHEN n <= $2 / 2 THEN '1' ELSE '2' END "
        "FROM generate_series(1, $2 * 2) n",
        room.room_id,
        module.MOST_UNREAD,
    )
    await connection.execute(
        "UPDATE chat_rooms SET seq = $2 * 2, rev = $2 * 2 WHERE room_id = $1",
        room.room_id,
        module.MOST_UNREAD,
    )
    assert await unread(conversations, "1") == module.MOST_UNREAD
    await talk.read(room, "1", module.MOST_UNREAD + 100)
    assert await unread(conversations, "1") == module.MOST_UNREAD - 100


async def test_hiding_removes_the_conversation_until_a_new_message(conversations, pool, talk):
    history = History(pool, tables("bigint"))
    room = await talk.open("1", "2")
    await talk.say(room, "1", "2", "2")
    assert await conversations.hide(room, "1") == 3
    assert await conversations.page("1", 10) == ([], False)
    assert others(await conversations.page("2", 10), "2") == ["1"]
    for arguments in ({}, {"offset": 1}, {"before": 3}, {"after": 0}, {"after": 1, "before": 3}):
        assert await history.page(room.room_id, "1", 10, **arguments) == ([], False)
    assert len((await history.last(room.room_id, "2")).messages) == 3

    await talk.say(room, "2")
    (entry,) = (await conversations.page("1", 10)).entries
    assert (entry.last_message.seq, entry.unread_count, entry.seq) == (4, 1, 4)
    for arguments in ({}, {"before": 5}, {"after": 0}, {"after": 3}):
        page = await history.page(room.room_id, "1", 1, **arguments)
        assert ([message.seq for message in page.messages], page.has_more) == ([4], False)
    await talk.delete(room, 4)
    assert await conversations.page("1", 10) == ([], False)


async def test_hiding_again_hides_what_came_meanwhile_and_nothing_else(conversations, talk):
    room = await talk.open("1", "2")
    await talk.say(room, "1")
    assert [await conversations.hide(room, "1") for _ in range(2)] == [1, 1]
    await talk.say(room, "2")
    assert await conversations.hide(room, "1") == 2
    assert await conversations.page("1", 10) == ([], False)


async def test_an_empty_conversation_is_hidden_at_its_beginning(conversations, talk):
    room = await talk.open("1", "2")
    assert await conversations.hide(room, "1") == 0
    await talk.say(room, "2")
    assert others(await conversations.page("1", 10)) == ["2"]


async def test_strangers_cannot_hide_a_conversation(conversations, talk):
    room = await talk.open("1", "2")
    for stranger in ("3", ""):
        with pytest.raises(ResourceNotFound):
            await conversations.hide(room, stranger)
    with pytest.raises(ResourceNotFound):
        await conversations.hide(room._replace(room_id=room.room_id + 99), "1")


@pytest.mark.parametrize("seed", range(3))
async def test_lists_and_pages_hold_exactly_what_is_visible(conversations, pool, talk, seed):
    chance = random.Random(seed)
    rooms = [await talk.open("1", str(other)) for other in range(2, 9)]
    order, gone, last_of = [], {}, {}
    for room in rooms:
        gone[room], last_of[room] = set(), 0
    for _ in range(120):
        room = chance.choice(rooms)
        action = chance.random()
        if action < 0.7:
            await talk.say(room, chance.choice(["1", room.other("1")]))
            last_of[room] += 1
            order = [room, *(one for one in order if one != room)]
        elif action < 0.8:
            hidden = await conversations.hide(room, "1")
            assert hidden == last_of[room]
            gone[room].update(range(1, hidden + 1))
        elif last_of[room]:
            seq = chance.randint(1, last_of[room])
            if seq not in gone[room]:
                await (talk.delete(room, seq) if action < 0.9 else talk.remove(room, "1", seq))
                gone[room].add(seq)
    history = History(pool, tables("bigint"))
    visible = {
        room: [seq for seq in range(1, last_of[room] + 1) if seq not in gone[room]]
        for room in rooms
    }
    listed = [room for room in order if visible[room]]
    for offset in range(len(rooms) + 1):
        page = await conversations.page("1", 3, offset=offset)
        assert [entry.room for entry in page.entries] == listed[offset : offset + 3]
        assert page.has_more == (len(listed) > offset + 3)
        for entry in page.entries:
            assert entry.last_message.seq == visible[entry.room][-1]
            assert entry.seq == last_of[entry.room]
    for room in rooms:
        pages = [await history.last(room.room_id, "1"), await history.page(room.room_id, "1", 99)]
        for page in pages:
            assert [message.seq for message in page.messages] == visible[room]
        for offset in range(len(visible[room]) + 2):
            page = await history.page(room.room_id, "1", 2, offset)
            end = max(0, len(visible[room]) - offset)
            assert [message.seq for message in page.messages] == visible[room][
                max(0, end - 2) : end
            ]
            assert page.has_more == (end > 2)


async def test_lists_of_one_turn_are_one_query(conversations, talk, pool):
    await talk.say(await talk.open("1", "2"), "1")
    await talk.say(await talk.open("2", "3"), "3")
    queries = pool.queries
    pages = await asyncio.gather(
        *(conversations.page(user_id, limit) for user_id, limit in (("1", 5), ("2", 1), ("4", 5)))
    )
    assert [others(page, user_id) for page, user_id in zip(pages, "124", strict=True)] == [
        ["2"],
        ["3"],
        [],
    ]
    assert [page.has_more for page in pages] == [False, True, False]
    assert pool.queries == queries + 1


async def test_no_plan_made_on_empty_tables_reads_a_whole_table(connection, conversations):
    for name, value in QUERY_SETTINGS.items():
        await connection.execute(f"SET {name} = {value}")
    for query, count in ((conversations.page_query, 5), (module.HIDE, 2)):
        await connection.execute(f"PREPARE it AS {query}")
        rows = await connection.fetch(f"EXPLAIN EXECUTE it({', '.join(['NULL'] * count)})")
        await connection.execute("DEALLOCATE it")
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan" not in plan
        assert "hashed SubPlan" not in plan


async def test_a_database_that_is_away_is_no_empty_list(conversations, talk, pool):
    room = await talk.open("1", "2")
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await conversations.page("1", 10)
    with pytest.raises(ServiceUnavailable):
        await conversations.hide(room, "1")
