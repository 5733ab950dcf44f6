"""What a client that was away is told when it asks what it missed."""

import re
from pathlib import Path

import asyncpg
import pytest

from fastchat.protocol.command import MOST_NAMED
from tests.functional.chat.replica import Replica, timeless
from tests.functional.chat.talking import assert_error, run_sql

ROOM = "conv_1_2"
DATABASE_PAGE = Path(__file__).parents[3] / "docs/database.md"


async def say(client, count, recipient="2", content="hello"):
    """Send so many messages; return the answers."""
    return [
        await client.request(type="send_private_message", recipientId=recipient, content=content)
        for _ in range(count)
    ]


async def sync(client, **fields):
    answer = await client.request(type="sync", **fields)
    assert answer["type"] == "sync_result", answer
    return answer


def only(answer):
    (news,) = answer["conversations"]
    return news


async def test_a_client_that_knows_nothing_gets_everything(quick):
    alice = await quick.join(1)
    await say(alice, 3)
    answer = await sync(alice)
    news = only(answer)
    assert (news["conversationId"], news["seq"], news["rev"]) == (ROOM, 3, 3)
    assert [message["seq"] for message in news["messages"]] == [1, 2, 3]
    assert (news["complete"], news["hidden"], news["unreadCount"]) == (True, False, 0)
    assert news["readUpTo"] == {"1": 0, "2": 0}
    assert (news["changed"], news["hiddenIds"], answer["left"]) == ([], [], [])
    assert "next" not in answer


async def test_a_client_that_knows_all_is_told_nothing(quick):
    alice = await quick.join(1)
    await say(alice, 3)
    first = await sync(alice)
    answer = await sync(alice, conversations={ROOM: {"seq": 3, "rev": 3}}, state=first["state"])
    assert (answer["conversations"], answer["left"]) == ([], [])


async def test_each_changed_message_comes_once_as_it_is_now(quick):
    alice = await quick.join(1)
    first, second, third = await say(alice, 3)
    state = (await sync(alice))["state"]
    own = {"messageId": first["messageId"]}
    await alice.request(type="edit_message", content="one", **own)
    await alice.request(type="edit_message", content="two", **own)
    await alice.request(type="add_reaction", reaction="+1", **own)
    await alice.request(type="delete_message", messageId=second["messageId"])
    await alice.request(type="pin_message", messageId=third["messageId"], conversationId=ROOM)
    await say(alice, 1, content="new")
    news = only(await sync(alice, conversations={ROOM: {"seq": 3, "rev": 3}}, state=state))
    assert [message["content"] for message in news["messages"]] == ["new"]
    edited, deleted, pinned = news["changed"]
    assert (edited["content"], edited["rev"]) == ("two", 6)
    assert edited["reactions"][0]["reaction"] == "+1"
    assert deleted == {"id": second["messageId"], "seq": 2, "rev": 7, "isDeleted": True}
    assert pinned["isPinned"]
    assert (news["seq"], news["rev"]) == (4, 9)


async def test_read_positions_and_own_removals_come_although_nothing_counts_them(quick):
    alice, bob = await quick.join(1), await quick.join(2)
    first, second = await say(alice, 2)
    known = {ROOM: {"seq": 2, "rev": 2}}
    state = (await sync(alice))["state"]
    await bob.request(type="mark_message_read", messageId=second["messageId"])
    news = only(await sync(alice, conversations=known, state=state))
    assert news["readUpTo"] == {"1": 0, "2": 2}
    assert (news["messages"], news["changed"]) == ([], [])
    state = (await sync(alice))["state"]
    await alice.request(
        type="delete_message", messageId=first["messageId"], deleteForEveryone=False
    )
    answer = await sync(alice, conversations=known, state=state)
    assert only(answer)["hiddenIds"] == [first["messageId"]]
    assert (await sync(alice, conversations=known, state=answer["state"]))["conversations"] == []
    await alice.request(type="delete_conversation", conversationId=ROOM)
    news = only(await sync(alice, conversations=known, state=answer["state"]))
    assert (news["hidden"], news["hiddenUpTo"]) == (True, 2)


async def test_what_a_transaction_under_way_removes_is_told_the_next_time(quick, database):
    alice = await quick.join(1)
    (sent,) = await say(alice, 1)
    known = {ROOM: {"seq": 1, "rev": 1}}
    connection = await asyncpg.connect(database)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO message_removals (user_id, room_id, seq, removed_xid) "
            "SELECT '1', room_id, 1, pg_current_xact_id() FROM chat_rooms"
        )
        await connection.execute(
            "UPDATE room_members SET changed_xid = pg_current_xact_id() WHERE user_id = '1'"
        )
        # A younger one ends before it.
        await run_sql(quick, "CREATE TABLE other ()")
        answer = await sync(alice)
        assert only(answer)["messages"]
        await transaction.commit()
    finally:
        await connection.close()
    news = only(await sync(alice, conversations=known, state=answer["state"]))
    assert news["hiddenIds"] == [sent["messageId"]]


async def test_while_a_transaction_stays_open_in_the_cluster_news_comes_again(quick, postgres):
    alice, bob = await quick.join(1), await quick.join(2)
    (sent,) = await say(alice, 1)
    known = {ROOM: {"seq": 1, "rev": 1}}
    assert postgres.dsn != quick.database
    other = await asyncpg.connect(postgres.dsn)  # another database of the same cluster
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.fetchval("SELECT pg_current_xact_id()")
        await bob.request(type="mark_message_read", messageId=sent["messageId"])
        state = (await sync(alice))["state"]
        for _ in range(2):
            answer = await sync(alice, conversations=known, state=state)
            assert only(answer)["readUpTo"] == {"1": 0, "2": 1}
            state = answer["state"]
        section = DATABASE_PAGE.read_text("utf-8").partition("## Long transactions")[2]
        open_ones, prepared, _ = re.search("```sql\n(.*?)```", section, re.DOTALL)[1].split(";")
        found = await run_sql(quick, open_ones)
        assert other.get_server_pid() in [row["pid"] for row in found]
        assert await run_sql(quick, prepared) == []
        await transaction.rollback()
    finally:
        await other.close()
    answer = await sync(alice, conversations=known, state=state)
    assert only(answer)["readUpTo"] == {"1": 0, "2": 1}
    answer = await sync(alice, conversations=known, state=answer["state"])
    assert answer["conversations"] == []


async def test_any_worker_tells_what_happened_at_another(start_chat):
    one, two = await start_chat(), await start_chat()
    alice = await one.join(1)
    await say(alice, 2)
    replica = Replica()
    bob = await two.join(2)
    await replica.catch_up(bob)
    await bob.close()
    (third,) = await say(alice, 1, content="three")
    await alice.request(type="edit_message", messageId="1-1", content="edited")
    bob = await one.join(2)
    await replica.catch_up(bob)
    assert [each["content"] for each in replica.shown(ROOM)] == ["edited", "hello", "three"]
    await alice.request(type="delete_message", messageId=third["messageId"])
    await replica.catch_up(await two.join(2))
    assert [each["content"] for each in replica.shown(ROOM)] == ["edited", "hello"]


async def test_groups_come_with_their_members_when_these_changed(quick):
    alice, bob = await quick.join(1), await quick.join(2)
    created = await alice.request(type="create_group", groupName="g", initialMembers=["2"])
    group = {"groupId": created["groupId"]}
    news = only(answer := await sync(bob))
    assert (news["group"], news["groupId"]) == (created["group"], created["groupId"])
    assert [member["userId"] for member in news["members"]] == ["1", "2"]
    known = {created["groupId"]: {"seq": news["seq"], "rev": news["rev"]}}
    await alice.request(type="send_group_message", content="hello", **group)
    news = only(await sync(bob, conversations=known, state=answer["state"]))
    assert "group" not in news
    assert "members" not in news
    await alice.request(type="promote_member", userId="2", **group)
    news = only(await sync(bob, conversations=known, state=answer["state"]))
    assert [member["role"] for member in news["members"]] == ["owner", "admin"]
    await alice.request(type="remove_group_member", userId="2", **group)
    answer = await sync(bob, conversations=known, state=answer["state"])
    assert (answer["conversations"], answer["left"]) == ([], [created["groupId"]])


async def test_more_than_was_asked_for_is_not_complete(quick):
    alice = await quick.join(1)
    await say(alice, 60)
    news = only(await sync(alice))
    assert [message["seq"] for message in news["messages"]] == list(range(11, 61))
    assert not news["complete"]
    known = {ROOM: {"seq": 40, "rev": 40}}
    news = only(await sync(alice, conversations=known, limit=19))
    assert ([message["seq"] for message in news["messages"]], news["complete"]) == (
        list(range(42, 61)),
        False,
    )
    news = only(await sync(alice, conversations=known, limit=20))
    assert ([message["seq"] for message in news["messages"]], news["complete"]) == (
        list(range(41, 61)),
        True,
    )


async def test_a_large_answer_comes_in_parts(quick):
    alice = await quick.join(1)
    others = ("2", "3", "4")
    for other in others:
        await say(alice, 30, other, content="é" * 5000)
    replica = Replica()
    answers = await replica.catch_up(alice)
    assert len(answers) == len(others)
    assert {len(answer["conversations"]) for answer in answers} == {1}
    assert set(replica.conversations) == {f"conv_1_{other}" for other in others}
    for name in replica.conversations:
        page = await alice.request(type="get_private_messages", conversationId=name, limit=200)
        messages = list(map(timeless, page["messages"]))
        assert replica.shown(name)[-len(messages) :] == messages
    assert (await replica.catch_up(alice))[0]["conversations"] == []


async def test_a_position_that_was_never_reached_counts_as_none(quick):
    alice = await quick.join(1)
    await say(alice, 2)
    news = only(await sync(alice, conversations={ROOM: {"seq": 9, "rev": 9}}))
    assert [message["seq"] for message in news["messages"]] == [1, 2]


async def test_a_state_of_another_database_counts_as_none(quick):
    alice = await quick.join(1)
    await say(alice, 2)
    known = {ROOM: {"seq": 2, "rev": 2}}
    for state in ("1-00000001-1.1", "1-00000001-1.18446744073709551615"):
        assert only(await sync(alice, conversations=known, state=state))["conversationId"] == ROOM


async def test_conversations_of_others_are_passed_over(quick):
    alice, carol = await quick.join(1), await quick.join(3)
    await say(alice, 2)
    answer = await sync(
        carol, conversations={ROOM: {"seq": 0, "rev": 0}, "x": {"seq": 0, "rev": 0}}
    )
    assert (answer["conversations"], answer["left"]) == ([], [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "x"),
        ("state", "a.1"),
        ("state", "A.99999999999999999999"),
        ("next", "A.1"),
        ("next", "A.1.9999999999999999999"),
        ("conversations", {ROOM: 1}),
        ("conversations", {ROOM: {"seq": -1, "rev": 0}}),
        ("conversations", {ROOM: {"seq": 1}}),
        ("conversations", {"": {"seq": 1, "rev": 1}}),
        ("conversations", {str(n): {"seq": 1, "rev": 1} for n in range(MOST_NAMED + 1)}),
        ("limit", 0),
    ],
)
async def test_what_no_server_has_sent_is_refused(quick, field, value):
    alice = await quick.join(1)
    answer = await alice.request(type="sync", **{field: value})
    assert_error(answer, "VALIDATION_ERROR", field)
