"""A real server, a real Chromium, and the Node that comes with what drives it."""

from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from playwright._impl._driver import compute_driver_executable

from tests.conftest import new_database
from tests.functional.browser.browsing import open_browser
from tests.functional.browser.control import Control
from tests.functional.browser.page import DemoPage
from tests.functional.browser.wire import Wire
from tests.functional.failure.conftest import copy, prepared_database  # noqa: F401
from tests.functional.failure.process import ServerProcess
from tests.functional.store.folders import public_folder


@asynccontextmanager
async def running(**settings):
    """A server of its own folder, killed at the end; it must not have had a bug."""
    with public_folder() as folder:
        server = ServerProcess(folder, **settings)
        await server.start()
        try:
            yield server
        finally:
            await server.close()
        assert not server.bugs()


@pytest.fixture(scope="session")
def node():
    """The path of a Node that is new enough; the machine's own may be too old, or missing."""
    return compute_driver_executable()[0]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser():
    """Chromium, the same for all tests; each opens pages of its own."""
    async with open_browser() as browser:
        yield browser


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def control(postgres):
    """A control server for the client's tests, and behind it a chat server.

    The server reaches its database over a wire too.
    """
    async with new_database(postgres) as database:
        await add_users(database)
        address = urlsplit(database)
        wire = Wire(lambda: address.port)
        await wire.start()
        port = urlsplit(wire.url).port
        own = database.replace(f":{address.port}/", f":{port}/")
        settings = {"DATABASE_URL": own, "REVOCATION_CHECK_INTERVAL": "100"}
        settings |= {"PRESENCE_SCOPE": "all", "OFFLINE_GRACE_PERIOD_MS": "100"}
        async with (
            running(NODE_ENV="production", **settings) as server,
            Control(server, database, wire) as control,
        ):
            yield control
        await wire.stop()


async def add_users(database):
    """Add so many users that no two cases need the same ones."""
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO users_auth SELECT id, 'user' || id FROM generate_series(201, 1000) id"
    )
    await connection.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def demo_server(prepared_database):  # noqa: F811
    """A server in development, as `make run` starts it: alice, bob and carol exist."""
    with public_folder() as folder:
        copy(prepared_database, folder / "data")
        server = ServerProcess(folder, NODE_ENV="development", PRESENCE_SCOPE="all")
        await server.start()
        try:
            yield server
        finally:
            await server.close()
        assert not server.bugs()


@pytest_asyncio.fixture(loop_scope="package")
async def open_page(browser, demo_server):
    """A function that opens the page, with everybody on it online."""
    opened = []

    async def open_page(*users, **options):
        page = DemoPage(await browser.new_page(), demo_server.url)
        opened.append(page)
        await page.open(*users, **options)
        return page

    yield open_page
    for page in opened:
        await page.close()
