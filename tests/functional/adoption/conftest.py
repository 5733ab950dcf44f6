"""A database of the previous server for each test that asks."""

import pytest

from tests.functional.adoption.adopting import connected, fresh_database
from tests.functional.adoption.previous import Previous


@pytest.fixture
async def fresh(postgres):
    """Address of a database with the main backend's tables alone."""
    async with fresh_database(postgres.dsn) as dsn:
        yield dsn


@pytest.fixture
async def previous(fresh):
    """The previous server's database, filled; the ids of its messages are in ``ids``."""
    async with connected(fresh) as connection:
        server = Previous(connection)
        await server.create()
        server.ids = await server.fill()
        yield server
