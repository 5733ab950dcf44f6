"""The row of a lane: made at its start, taken away long after its end."""

import asyncpg
import pytest

from fastchat.store.fence import Fence
from tests.functional.store.writing import make_message, make_rooms, make_writer, send

AGE = "UPDATE lane_commits SET committed_at = now() - make_interval(days => $2) WHERE lane_id = $1"


@pytest.fixture
async def rooms(database):
    return await make_rooms(database, 2)


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def lane_ids(connection):
    return {row[0] for row in await connection.fetch("SELECT lane_id FROM lane_commits")}


async def test_a_lane_that_starts_takes_away_the_rows_of_lanes_that_ended_long_ago(
    database, rooms, connection
):
    ended = [
        await connection.fetchval("INSERT INTO lane_commits DEFAULT VALUES RETURNING lane_id")
        for _ in range(3)
    ]
    for lane_id, days in zip(ended, (8, 6, 30), strict=True):
        await connection.execute(AGE, lane_id, days)
    writer = make_writer(database)
    await send(writer, make_message(rooms[0]))
    assert await lane_ids(connection) == {ended[1], writer.lanes[0].fence.lane_id}
    await writer.stop(10.0)


async def test_a_row_that_is_in_use_is_left_alone(database, rooms, connection):
    lane_id = await connection.fetchval("INSERT INTO lane_commits DEFAULT VALUES RETURNING lane_id")
    await connection.execute(AGE, lane_id, 8)
    writer = make_writer(database)
    async with connection.transaction():
        await connection.execute("SELECT FROM lane_commits WHERE lane_id = $1 FOR UPDATE", lane_id)
        await send(writer, make_message(rooms[0]))
    assert lane_id in await lane_ids(connection)
    await writer.stop(10.0)


async def test_a_lane_that_was_idle_for_days_and_lost_its_row_takes_another(
    database, rooms, connection
):
    idle = make_writer(database)
    await send(idle, make_message(rooms[0], "aa"))
    lost = idle.lanes[0].fence.lane_id
    await connection.execute(AGE, lost, 8)
    other = make_writer(database)
    await send(other, make_message(rooms[1], "bb"))
    assert lost not in await lane_ids(connection)
    first, second = await send(idle, make_message(rooms[0], "cc"), make_message(rooms[1], "dd"))
    assert (first.seq, second.seq) == (2, 2)
    assert idle.lanes[0].fence.lane_id in await lane_ids(connection)
    for writer in (idle, other):
        await writer.stop(10.0)


class Dying(asyncpg.Connection):
    """A connection that is terminated between the two steps of a call: preparing and executing."""

    calls_left = 0

    async def _get_statement(self, *args, **options):
        statement = await super()._get_statement(*args, **options)
        self.calls_left -= 1
        if self.calls_left == 0:
            self.terminate()
        return statement


@pytest.mark.parametrize("call", [1, 2])  # of the connection: takes a row, runs the statement
async def test_a_connection_that_is_terminated_between_two_steps_is_no_bug(database, rooms, call):
    opened = []

    async def connect():
        connection = await asyncpg.connect(database, connection_class=Dying)
        connection.calls_left = call if not opened else 0
        opened.append(connection)
        return connection

    fence = Fence(connect)
    query = """UPDATE lane_commits SET batch_no = batch_no + 1, answer = '{7}'
        WHERE lane_id = $1 AND batch_no = $2 RETURNING answer"""
    while (answer := await fence.run(query, ())) is None:
        pass  # nothing was done, and that is known
    assert answer == [7]
    assert len(opened) > 1
    fence.drop()
