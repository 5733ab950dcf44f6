"""Changes that a user was not there for are stored for him before their author is answered."""

import asyncio
import socket

import pytest

from tests.functional.chat.talking import database_away, run_sql, say_id, whole_table
from tests.functional.grouping import GROUP, make_group

QUEUED = """
SELECT q.user_id, count(*) FROM event_queue q JOIN event_bodies b USING (event_id)
WHERE q.delivered_at IS NULL GROUP BY q.user_id ORDER BY q.user_id
"""


async def queued(chat):
    """How many events each user has yet to get."""
    return dict(await run_sql(chat, QUEUED))


def changes_of(message_id):
    """Every change of a message that both sides are told of, as commands of its author."""
    return [
        {"type": "add_reaction", "messageId": message_id, "reaction": "+1"},
        {"type": "remove_reaction", "messageId": message_id},
        {"type": "edit_message", "messageId": message_id, "content": "a secret text"},
        {"type": "pin_message", "messageId": message_id, "conversationId": "conv_1_2"},
        {"type": "unpin_message", "messageId": message_id, "conversationId": "conv_1_2"},
        {"type": "delete_message", "messageId": message_id},
    ]


async def test_each_kind_of_change_is_queued_for_the_one_who_is_not_here(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    for count, command in enumerate(changes_of(message_id), 1):
        answer = await alice.request(**command)
        assert answer["type"] != "error"
        assert await queued(chat) == {"2": count}


async def test_nothing_is_queued_for_those_who_are_here(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    message_id = await say_id(alice, "2")
    for command in changes_of(message_id):
        answer = await alice.request(**command)
        await bob.expect(answer["type"])
    assert await queued(chat) == {}


async def test_messages_read_marks_and_own_removals_are_not_queued(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    message_id = await say_id(alice, "2")
    await bob.request(type="mark_message_read", messageId=message_id)
    await bob.close()
    await say_id(alice, "2")
    await alice.request(type="delete_message", messageId=message_id, deleteForEveryone=False)
    assert await queued(chat) == {}


async def test_what_changes_nothing_is_not_queued(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    answer = await alice.request(type="remove_reaction", messageId=message_id)
    assert answer["type"] == "reaction_removed"
    assert await queued(chat) == {}


async def test_the_text_of_an_edit_is_nowhere_in_the_queue_in_plaintext(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await alice.request(type="edit_message", messageId=message_id, content="a secret text")
    assert await queued(chat) == {"2": 1}
    assert "secret" not in await whole_table(chat, "event_bodies")


async def test_a_change_in_a_group_is_stored_once_for_all_members_who_are_not_here(chat):
    await make_group(chat.database, {"1": "owner"} | {str(n): "member" for n in range(2, 30)})
    owner, member = await chat.join(1), await chat.join(2)
    sent = await owner.request(type="send_group_message", groupId=GROUP, content="hello")
    await owner.request(type="add_group_reaction", messageId=sent["messageId"], reaction="!")
    await member.expect("reaction_added")
    assert await queued(chat) == {str(number): 1 for number in range(3, 30)}
    assert len(await run_sql(chat, "SELECT FROM event_bodies")) == 1


async def test_a_change_in_a_group_whose_members_have_to_be_read_first_is_queued(chat):
    await make_group(chat.database, {"1": "owner", "2": "member", "3": "member"})
    owner, member = await chat.join(1), await chat.join(2)
    sent = await owner.request(type="send_group_message", groupId=GROUP, content="hello")
    await member.expect("new_group_message")
    for number in range(3):
        chat.server.memberships.forget(sent["message"]["seq"])
        chat.server.memberships.cache = type(chat.server.memberships.cache)(100)
        await owner.request(
            type="add_group_reaction", messageId=sent["messageId"], reaction=str(number)
        )
        await member.expect("reaction_added")
        assert await queued(chat) == {"3": number + 1}


async def test_the_author_is_answered_when_the_event_is_durable_and_not_before(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    queue = chat.server.event_queue
    lane = queue._lane
    queue._lane = None  # nobody stores
    reaction = {"type": "add_reaction", "messageId": message_id, "reaction": "+1"}
    await alice.send(**reaction, requestId="r")
    await alice.assert_nothing("reaction_added")
    queue.use(lane)
    answer = await alice.expect("reaction_added")
    assert answer["requestId"] == "r"
    assert await queued(chat) == {"2": 1}


async def test_a_change_is_told_of_after_a_database_that_went_away_behind_it(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await alice.request(type="add_reaction", messageId=message_id, reaction="+1")
    queue = chat.server.event_queue
    lane = queue._lane
    queue._lane = None
    await alice.send(type="remove_reaction", messageId=message_id, requestId="r")
    await alice.assert_nothing("reaction_removed")
    async with database_away(chat):
        queue.use(lane)
        error = await alice.expect("error", timeout=6.0)
        assert (error["code"], error["requestId"]) == ("SERVICE_UNAVAILABLE", "r")
    await alice.expect("reaction_removed", timeout=10.0)
    assert await queued(chat) == {"2": 2}


async def test_what_a_connection_that_is_dropped_did_not_take_is_queued(chat):
    alice = await chat.join(1)
    bob = await chat.join(2)
    message_id = await say_id(alice, "2")
    await bob.expect("new_private_message")
    transport = bob.websocket.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport.pause_reading()
    (connection,) = chat.server.hub.open_connections("2")
    text = "x" * 10_000
    count = 0
    while not connection.backlog:
        await alice.request(type="edit_message", messageId=message_id, content=text)
        count += 1
        assert count < 1000
    for _ in range(20):
        await alice.request(type="edit_message", messageId=message_id, content=text)
    assert await queued(chat) == {}
    connection.abort()
    async with asyncio.timeout(5):
        while (await queued(chat)).get("2", 0) < 20:
            await asyncio.sleep(0.01)
    assert (await queued(chat))["2"] < count + 20
    await bob.cut()  # it would wait for the closing handshake


async def test_nothing_is_queued_when_another_connection_of_the_user_is_open(chat):
    alice, bob, tablet = await chat.join(1), await chat.join(2), await chat.join(2)
    message_id = await say_id(alice, "2")
    for reaction in ("1", "2"):
        await alice.request(type="add_reaction", messageId=message_id, reaction=reaction)
        await tablet.expect("reaction_added")
        await bob.cut()
    assert await queued(chat) == {}


@pytest.mark.parametrize("connections", ["10", "2"])
async def test_what_is_accepted_before_the_shutdown_is_queued(start_chat, connections):
    chat = await start_chat(DB_MAX_CONNECTIONS=connections)
    alice = await chat.join(1)
    message_ids = [await say_id(alice, "2") for _ in range(20)]
    for message_id in message_ids:
        await alice.send(type="add_reaction", messageId=message_id, reaction="!")
    await alice.expect("reaction_added")
    await chat.stop()
    await alice.wait_closed()
    answered = sum(frame["type"] == "reaction_added" for frame in alice.frames)
    reactions = await run_sql(chat, "SELECT FROM chat_reactions")
    assert await queued(chat) == {"2": len(reactions)}
    assert answered <= len(reactions)
