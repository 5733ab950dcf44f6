"""What the main backend is told: signed, at least once, out of a durable outbox."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import jsonschema
import pytest

from fastchat import __version__
from fastchat.handlers.webhooks import FIRST_PAUSE, LONGEST_PAUSE, WebhookDelivery, backoff
from fastchat.protocol.openapi import openapi
from fastchat.store.webhook_outbox import Failure
from tests.functional.chat.hooked import open_backend
from tests.functional.chat.talking import database_away, run_sql, say, whole_table

DOCUMENT = openapi(__version__)
ROWS = "SELECT count(*) FROM webhook_outbox"


@pytest.fixture
async def backend():
    async with AsyncExitStack() as stack:
        yield await open_backend(stack)


@pytest.fixture
async def hooked(start_chat, backend):
    """A server that tells the backend, and tries again soon."""
    chat = await start_chat(**backend.settings, OFFLINE_GRACE_PERIOD_MS="0")
    chat.server.backend.delivery._first_pause = 0.01
    return chat


def check(webhook, kind):
    schema = {"$ref": f"#/components/schemas/{kind}", "components": DOCUMENT["components"]}
    jsonschema.validate(webhook, schema, jsonschema.Draft202012Validator)


async def settled(chat):
    """Wait until nothing is left in the outbox."""
    async with asyncio.timeout(10):
        while (await run_sql(chat, ROWS))[0][0]:
            await asyncio.sleep(0.01)


async def test_a_message_for_somebody_who_is_away_is_told_of(hooked, backend):
    alice = await hooked.join(1)
    sent = await say(alice, "2", "are you there?")
    webhook = await backend.heard("message.offline")
    check(webhook, "MessageOffline")
    assert webhook["id"] == f"message-{sent['messageId']}"
    assert webhook["data"]["offlineUserIds"] == ["2"]
    assert webhook["data"]["message"] == sent["message"]
    await hooked.join(2)
    await say(alice, "2", "now you are")
    await settled(hooked)
    assert [one["type"] for one in backend.received].count("message.offline") == 1


async def test_a_message_to_a_group_is_told_of_once_for_all_who_are_away(hooked, backend):
    alice = await hooked.join(1)
    await hooked.join(2)
    created = await alice.request(
        type="create_group", groupName="g", initialMembers=["2", "3", "4"]
    )
    await alice.request(
        type="send_group_message", groupId=created["group"]["groupId"], content="hello"
    )
    webhook = await backend.heard("message.offline")
    check(webhook, "MessageOffline")
    assert sorted(webhook["data"]["offlineUserIds"]) == ["3", "4"]


async def test_who_comes_and_goes_is_told_of(hooked, backend):
    alice = await hooked.join(1)
    online = await backend.heard("user.online")
    check(online, "UserOnline")
    assert online["data"]["user"]["username"] == "user1"
    await alice.close()
    offline = await backend.heard("user.offline")
    check(offline, "UserOffline")
    assert offline["timestamp"] >= online["timestamp"]


async def test_what_is_not_taken_is_tried_again_with_the_same_id(hooked, backend):
    backend.status = 503
    alice = await hooked.join(1)
    sent = await say(alice, "2")
    webhook_id = f"message-{sent['messageId']}"

    def tries(backend):
        return [one for one in backend.tries if one[0] == webhook_id]

    await backend.wait_for(lambda backend: len(tries(backend)) >= 3)
    (row,) = await run_sql(
        hooked, "SELECT attempts, last_error FROM webhook_outbox WHERE webhook_id = $1", webhook_id
    )
    assert row[0] >= 2
    assert row[1] == "status 503, expected 200 to 299"
    backend.status = 200
    await backend.heard("message.offline")
    await settled(hooked)
    assert len({body for _, _, body in tries(backend)}) == 1
    figures = hooked.server.metrics.json()["webhooks"]
    assert figures["delivered"] == figures["stored"] == 2
    assert figures["failures"] >= 3
    assert figures["lost"] == 0


async def test_what_one_server_stored_another_delivers(start_chat, backend):
    nowhere = backend.settings | {"WEBHOOK_URL": "http://127.0.0.1:9/"}
    first = await start_chat(**nowhere)
    sent = await say(await first.join(1), "2", "before the end")
    await start_chat(**backend.settings)
    await run_sql(first, "UPDATE webhook_outbox SET next_attempt_at = now()")
    webhook = await backend.heard("message.offline")
    assert webhook["data"]["message"]["id"] == sent["messageId"]


async def test_the_outbox_holds_no_text_that_can_be_read(hooked, backend):
    backend.status = 500
    await say(await hooked.join(1), "2", "a secret for bob")
    await backend.wait_for(lambda backend: any(one[0][:8] == "message-" for one in backend.tries))
    rows = await whole_table(hooked, "webhook_outbox")
    assert "secret" not in rows
    assert "message-" in rows


async def test_nobody_is_acknowledged_whose_webhook_is_not_durable(hooked, backend):
    alice = await hooked.join(1)
    await say(alice, "2", "one")
    await settled(hooked)
    stored = hooked.server.backend.outbox.stored
    locker = await asyncpg.connect(hooked.database)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE webhook_outbox IN ACCESS EXCLUSIVE MODE")
            await alice.send(type="send_private_message", recipientId="2", content="two")
            await alice.assert_nothing("message_sent", within=0.1)
    finally:
        await locker.close()
    await alice.expect("message_sent")
    assert hooked.server.backend.outbox.stored == stored + 1


async def test_a_repeat_causes_the_same_webhook_again(hooked, backend):
    backend.status = 500
    alice = await hooked.join(1)
    sent = await say(alice, "2", clientMessageId="c")
    await run_sql(hooked, "DELETE FROM webhook_outbox")  # as if it had died before it was stored
    again = await say(alice, "2", clientMessageId="c")
    assert again["duplicate"]
    rows = await run_sql(hooked, "SELECT webhook_id FROM webhook_outbox")
    assert [row[0] for row in rows] == [f"message-{sent['messageId']}"]
    await say(alice, "2", clientMessageId="c")
    assert (await run_sql(hooked, ROWS))[0][0] == 1


async def test_what_is_too_old_is_given_up_and_cleared_away_after_a_week(hooked, backend):
    backend.status = 500
    outbox = hooked.server.backend.outbox
    hooked.server.backend.delivery._patience = 0.0
    await outbox.put("w1", b"{}")
    async with asyncio.timeout(10):
        while not (await run_sql(hooked, f"{ROWS} WHERE given_up_at IS NOT NULL"))[0][0]:
            await asyncio.sleep(0.01)
    assert hooked.server.backend.delivery.given_up == 1
    await outbox.clean(0.0)
    assert (await run_sql(hooked, ROWS))[0][0] == 1
    await run_sql(hooked, "UPDATE webhook_outbox SET given_up_at = now() - interval '8 days'")
    assert await outbox.clean(0.0) == 1


async def test_of_two_who_claim_one_gets_it_and_another_after_the_claim(start_chat):
    chat = await start_chat()
    outbox = chat.server.backend.outbox
    await asyncio.gather(*(outbox.put(f"w{n}", b"{}") for n in range(40)))
    claims = await asyncio.gather(*(outbox.claim(10, 60.0) for _ in range(4)))
    positions = [webhook.position for claim in claims for webhook in claim]
    assert len(positions) == len(set(positions)) == 40
    assert await outbox.claim(10, 60.0) == []
    await outbox.settle(positions[1:], [Failure(positions[0], 0.0, "why")])
    (left,) = await outbox.claim(10, 60.0)
    assert (left.position, left.attempts) == (positions[0], 2)


async def test_what_was_accepted_is_stored_when_the_database_is_back(start_chat):
    chat = await start_chat()
    outbox = chat.server.backend.outbox
    async with database_away(chat):
        future = outbox.put("w1", b"{}")
        await asyncio.sleep(0)
        assert not future.done()
    async with asyncio.timeout(10):
        await future
    assert [one.webhook_id for one in await outbox.claim(10, 60.0)] == ["w1"]


def test_pauses_double_up_to_an_hour_and_are_spread():
    for attempts, pause in (
        (1, 1.0),
        (2, 2.0),
        (5, 16.0),
        (13, LONGEST_PAUSE),
        (9999, LONGEST_PAUSE),
    ):
        found = [backoff(attempts, FIRST_PAUSE) for _ in range(50)]
        assert all(0.8 * pause <= one <= 1.2 * pause for one in found)
        assert len(set(found)) > 1


async def test_without_an_address_nothing_is_stored(chat, backend):
    await say(await chat.join(1), "2")
    assert (await run_sql(chat, ROWS))[0][0] == 0
    assert isinstance(chat.server.backend.delivery, WebhookDelivery)
