"""Reactions and pins, as both users see them on all their devices."""

import pytest

from tests.functional.chat.talking import assert_error, block, page, run_sql, say_id

REACTION = {"userId": "2", "username": "user2", "reaction": "👍"}


@pytest.fixture
async def people(chat):
    """Alice, Bob on two devices, and a message of Alice's."""
    alice, bob, phone = await chat.join(1), await chat.join(2), await chat.join(2)
    message_id = await say_id(alice, "2")
    for client in (bob, phone):
        await client.expect("new_private_message")
    return alice, bob, phone, message_id


async def test_a_reaction_is_told_to_all_and_shown_in_the_history(people):
    alice, bob, phone, message_id = people
    answer = await bob.request(type="add_reaction", messageId=message_id, reaction="👍")
    answer.pop("requestId")
    assert answer == {
        "type": "reaction_added",
        "messageId": message_id,
        "conversationId": "conv_1_2",
        "reaction": REACTION,
        "rev": 2,
    }
    for client in (alice, phone):
        assert await client.expect("reaction_added") == answer
    await bob.assert_nothing("reaction_added")
    (message,) = (await page(alice, "2"))["messages"]
    assert message["reactions"] == [REACTION]
    assert (message["seq"], message["rev"]) == (1, 2)


async def test_another_reaction_replaces_the_first_and_the_same_takes_it_back(people):
    alice, bob, _, message_id = people
    await bob.request(type="add_reaction", messageId=message_id, reaction="👍")
    await bob.request(type="add_reaction", messageId=message_id, emoji="🎉")
    (message,) = (await page(alice, "2"))["messages"]
    assert [one["reaction"] for one in message["reactions"]] == ["🎉"]
    again = await bob.request(type="add_reaction", messageId=message_id, reaction="🎉")
    assert (again["type"], again["userId"], again["rev"]) == ("reaction_removed", "2", 4)
    await alice.expect("reaction_removed", userId="2", rev=4)
    (message,) = (await page(alice, "2"))["messages"]
    assert message["reactions"] == []


async def test_removing_a_reaction_twice_is_told_once(people):
    alice, bob, _, message_id = people
    await bob.request(type="add_reaction", messageId=message_id, reaction="👍")
    for rev in (3, 3):
        answer = await bob.request(type="remove_reaction", messageId=message_id)
        assert (answer["type"], answer["rev"]) == ("reaction_removed", rev)
    await alice.expect("reaction_removed")
    await alice.assert_nothing("reaction_removed")


@pytest.mark.parametrize("reaction", ["", "x" * 17, "  ", 1, None])
async def test_a_reaction_has_one_to_sixteen_characters(reaction, people):
    _, bob, _, message_id = people
    answer = await bob.request(type="add_reaction", messageId=message_id, reaction=reaction)
    assert_error(answer, "VALIDATION_ERROR", "reaction")
    assert "type" in await bob.request(type="add_reaction", messageId=message_id, reaction="x" * 16)


async def test_a_pinned_message_is_listed_until_it_is_unpinned(people):
    alice, bob, phone, message_id = people
    other_id = await say_id(alice, "2", "second")
    where = {"conversationId": "conv_1_2"}
    answer = await bob.request(type="pin_message", messageId=message_id, **where)
    assert (answer["type"], answer["pinnedBy"], answer["rev"]) == ("message_pinned", "2", 3)
    for client in (alice, phone):
        await client.expect("message_pinned", messageId=message_id, pinnedBy="2", rev=3)
    await alice.request(type="pin_message", messageId=other_id, **where)
    pinned = (await alice.request(type="get_pinned_messages", **where))["messages"]
    assert [one["id"] for one in pinned] == [message_id, other_id]
    assert all(one["isPinned"] for one in pinned)
    answer = await alice.request(type="unpin_message", messageId=message_id, **where)
    assert answer["type"] == "message_unpinned"
    await bob.expect("message_unpinned", messageId=message_id)
    pinned = (await bob.request(type="get_pinned_messages", **where))["messages"]
    assert [one["id"] for one in pinned] == [other_id]


async def test_only_the_two_users_may_annotate_and_look(people, chat):
    alice, _, _, message_id = people
    carol = await chat.join(3)
    where = {"conversationId": "conv_1_2"}
    commands = (
        {"type": "add_reaction", "messageId": message_id, "reaction": "👍"},
        {"type": "remove_reaction", "messageId": message_id},
        {"type": "pin_message", "messageId": message_id, **where},
        {"type": "unpin_message", "messageId": message_id, **where},
        {"type": "get_pinned_messages", **where},
        {"type": "delete_conversation", **where},
        {"type": "get_conversations", "before": "conv_1_2"},
    )
    for command in commands:
        assert_error(await carol.request(**command), "RESOURCE_NOT_FOUND")
    missing = {"messageId": message_id.replace("-1", "-9")}
    for command in commands[:4]:
        assert_error(await alice.request(**(command | missing)), "RESOURCE_NOT_FOUND")
    await alice.assert_nothing("reaction_added")


async def test_a_block_stops_reacting_and_pinning_but_not_undoing(people, chat):
    _, bob, _, message_id = people
    where = {"messageId": message_id, "conversationId": "conv_1_2"}
    await bob.request(type="add_reaction", reaction="👍", **where)
    await bob.request(type="pin_message", **where)
    await block(chat, 1, 2)
    for command in ({"type": "add_reaction", "reaction": "🎉"}, {"type": "pin_message"}):
        assert_error(await bob.request(**command, **where), "USER_BLOCKED")
    for kind, answer in (
        ("remove_reaction", "reaction_removed"),
        ("unpin_message", "message_unpinned"),
    ):
        assert (await bob.request(type=kind, **where))["type"] == answer


async def test_a_deleted_message_loses_reactions_and_pin(people, chat):
    alice, bob, _, message_id = people
    where = {"messageId": message_id, "conversationId": "conv_1_2"}
    await bob.request(type="add_reaction", reaction="👍", **where)
    await bob.request(type="pin_message", **where)
    await alice.request(type="delete_message", messageId=message_id)
    listed = await bob.request(type="get_pinned_messages", conversationId="conv_1_2")
    assert listed["messages"] == []
    assert_error(
        await bob.request(type="add_reaction", reaction="👍", **where), "RESOURCE_NOT_FOUND"
    )
    assert not await run_sql(chat, "SELECT * FROM chat_reactions")
