"""A real server, a real Chromium, and the Node that comes with what drives it."""

import shutil
import tempfile

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.async_api import async_playwright

from tests.functional.browser.control import Control
from tests.functional.failure.process import ServerProcess
from tests.functional.store.folders import public_folder

FLAGS = (
    "--headless",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def node():
    """The path of a Node that is new enough; the machine's own may be too old, or missing."""
    return compute_driver_executable()[0]


@pytest.fixture
async def browser():
    """Debian's Chromium with an empty profile; `make test` installs it where it is missing."""
    program = shutil.which("chromium")
    assert program, "Chromium is missing: run `make test` as root, or apt-get install chromium"
    with tempfile.TemporaryDirectory() as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=program, args=FLAGS, headless=True
            )
            try:
                yield context
            finally:
                await context.close()


@pytest.fixture
async def control(database):
    """A control server for the client's tests, and behind it a chat server."""
    with public_folder() as folder:
        server = ServerProcess(
            folder,
            NODE_ENV="production",
            DATABASE_URL=database,
            REVOCATION_CHECK_INTERVAL="100",
        )
        await server.start()
        try:
            async with Control(server, database) as control:
                yield control
        finally:
            await server.close()
        assert not server.bugs()
