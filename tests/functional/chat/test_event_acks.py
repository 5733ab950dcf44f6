"""Queued events of a client that acknowledges them."""

import pytest

from fastchat.handlers import drain
from tests.functional.chat.queued import (
    KIND,
    all_marked,
    edit,
    numbers,
    queue_events,
    undelivered,
)
from tests.functional.chat.talking import assert_error, run_sql


async def test_with_acks_events_have_an_id_and_come_again_until_they_are_acknowledged(quick):
    await queue_events(quick, 5)
    bob = await quick.guest()
    assert (await bob.authenticate(quick.token(2), acks=True))["queuedEvents"] == 5
    ids = [frame["eventId"] for frame in bob.frames if frame["type"] == KIND]
    assert ids == sorted(ids, key=int)
    assert all(isinstance(event_id, str) for event_id in ids)
    answer = await bob.request(type="ack_events", eventIds=ids[:2])
    assert (answer["type"], answer["count"]) == ("events_acked", 2)
    await bob.cut()
    phone = await quick.guest()
    assert (await phone.authenticate(quick.token(2), acks=True))["queuedEvents"] == 3
    assert numbers(phone) == [2, 3, 4]
    assert [frame["eventId"] for frame in phone.frames if frame["type"] == KIND] == ids[2:]
    assert (await phone.request(type="ack_events", eventIds=ids))["count"] == 3
    assert (await phone.request(type="ack_events", eventIds=ids))["count"] == 0
    assert await undelivered(quick) == 0


async def test_without_acks_events_have_no_id(quick):
    await queue_events(quick, 1)
    bob = await quick.join(2)
    event = await bob.expect(KIND)
    assert "eventId" not in event


async def test_ids_of_others_and_of_nothing_are_passed_over(quick):
    await queue_events(quick, 2)
    await queue_events(quick, 1, "3")
    (other,) = await run_sql(quick, "SELECT event_id FROM event_queue WHERE user_id = '3'")
    bob = await quick.guest()
    await bob.authenticate(quick.token(2), acks=True)
    ids = [int(frame["eventId"]) for frame in bob.frames if frame["type"] == KIND]
    strange = [str(other[0]), f"0{ids[0]}", "x", "", "-1", "٣", "9" * 30, 2**70, f" {ids[0]}"]
    answer = await bob.request(type="ack_events", eventIds=strange)
    assert (answer["type"], answer["count"]) == ("events_acked", 0)
    assert (await bob.request(type="ack_events", eventIds=[ids[0], str(ids[0]), *strange]))[
        "count"
    ] == 1
    assert (await bob.request(type="ack_events", eventIds=[]))["count"] == 0
    assert (await undelivered(quick), await undelivered(quick, "3")) == (1, 1)


@pytest.mark.parametrize("ids", [["1"] * 1001, "1", [True], [["1"]], [1.5], {}])
async def test_a_wrong_list_of_ids_is_refused(quick, ids):
    bob = await quick.join(2)
    answer = await bob.request(type="ack_events", eventIds=ids)
    assert_error(answer, "VALIDATION_ERROR", "eventIds")


async def test_a_second_device_does_not_get_what_the_first_has_yet_to_acknowledge(quick):
    await queue_events(quick, 3)
    bob = await quick.guest()
    await bob.authenticate(quick.token(2), acks=True)
    tablet = await quick.join(2)
    await tablet.assert_nothing(KIND)
    await bob.cut()
    await tablet.expect(KIND, rev=3)
    assert numbers(tablet) == [0, 1, 2]
    await all_marked(quick)


async def test_events_that_come_while_others_are_not_acknowledged_are_delivered(quick):
    await queue_events(quick, 2)
    bob = await quick.guest()
    await bob.authenticate(quick.token(2), acks=True)
    quick.server.offline._put(drain.Change(1, edit(2)), ["2"])
    event = await bob.expect(KIND, rev=3)
    assert "eventId" in event
    assert numbers(bob) == [0, 1, 2]
