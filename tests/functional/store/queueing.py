"""What tests of queued events share: a cipher, a queue on a lane, and what the tables hold."""

import asyncio

import asyncpg

from fastchat.store.cipher import Cipher, KeyRing
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_queue import EventQueue

KEYS = KeyRing("a key for tests, 32 characters !")

UNDELIVERED = """
SELECT q.user_id, q.event_id, b.* FROM event_queue q JOIN event_bodies b USING (event_id)
WHERE q.delivered_at IS NULL ORDER BY q.user_id, q.event_id
"""


def make_queue(writer, memory=None, **options) -> EventQueue:
    queue = EventQueue(Cipher(KEYS), EventMemory() if memory is None else memory, **options)
    queue.use(writer.lanes[0])
    return queue


async def run_sql(dsn, query, *arguments):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def stored(*futures):
    async with asyncio.timeout(20):
        await asyncio.gather(*futures)
