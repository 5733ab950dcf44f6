"""The examples, as they are, against the real server."""

import asyncio
import runpy
from pathlib import Path

from tests.functional.chat.talking import contents, say_id

BOT = Path(__file__).parents[3] / "clients" / "python" / "echo_bot.py"


async def test_the_echo_bot_answers_and_reads(chat):
    alice = await chat.join(1)
    run = runpy.run_path(str(BOT))["run"]
    bot = asyncio.create_task(run(chat.url, chat.token(2)))
    while (await alice.request(type="get_online_users"))["count"] == 0:
        await asyncio.sleep(0.01)
    message_id = await say_id(alice, "2", "hello")
    answer = await alice.expect("new_private_message")
    assert answer["message"]["content"] == "You said: hello"
    await alice.expect("message_read", messageId=message_id)
    assert await contents(alice, "2") == ["hello", "You said: hello"]
    bot.cancel()
    await asyncio.gather(bot, return_exceptions=True)
