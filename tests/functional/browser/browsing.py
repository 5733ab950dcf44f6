"""Debian's Chromium, driven by Playwright; `make test` installs it where it is missing."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, async_playwright, expect

PATIENCE = 15_000  # milliseconds; a bound on every wait
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


@asynccontextmanager
async def open_browser() -> AsyncIterator[BrowserContext]:
    """Run the browser with an empty profile."""
    program = shutil.which("chromium")
    assert program, "Chromium is missing: run `make test` as root, or apt-get install chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=program, args=FLAGS, headless=True
            )
            context.set_default_timeout(PATIENCE)
            expect.set_options(timeout=PATIENCE)
            try:
                yield context
            finally:
                await context.close()
