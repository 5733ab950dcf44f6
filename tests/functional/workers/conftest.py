"""A server of several workers, on a fresh database."""

import pytest

from tests.functional.store.folders import public_folder
from tests.functional.workers.process import WorkersProcess


@pytest.fixture
async def start(database):
    """A function that starts a server; whatever still runs is killed at the end."""
    servers = []
    with public_folder() as folder:

        async def start(workers=2, **settings):
            own = folder / str(len(servers))
            own.mkdir()
            settings = {"NODE_ENV": "production", "DATABASE_URL": database} | settings
            server = WorkersProcess(own, workers, **settings)
            servers.append(server)
            await server.start()
            return server

        yield start
        for server in servers:
            await server.close()
            assert not server.bugs()
