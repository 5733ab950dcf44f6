"""The TypeScript client against the real server; what it promises is in ``clients/js/tests``."""

import gzip
import hashlib
import json
import re

import pytest

from tests.functional.browser.control import CLIENT, close_codes
from tests.functional.browser.nodes import TIMEOUT, run_tests

in_browser_loop = pytest.mark.asyncio(loop_scope="package")
MOST_BYTES = 8 * 1024  # gzipped
BUILT = CLIENT / "dist" / "index.js"


@in_browser_loop
async def test_cases_pass_under_node(control, node):
    await run_tests(node, CLIENT / "tests" / "node.test.mjs", CONTROL=control.url)


@in_browser_loop
async def test_cases_pass_in_chromium(control, browser):
    page = await browser.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error))
    await page.goto(control.url)
    await page.wait_for_function("window.outcome", timeout=TIMEOUT * 1000)
    outcome = await page.evaluate("window.outcome")
    assert outcome["failed"] == []
    assert outcome["passed"] > 30
    assert errors == []


def test_built_client_is_that_of_the_sources():
    digest = hashlib.sha256()
    for path in sorted((CLIENT / "src").iterdir()):
        digest.update(path.read_bytes())
    first = BUILT.read_text("utf-8").partition("\n")[0]
    is_current = first.endswith(digest.hexdigest())
    assert is_current, "`npm run build` in clients/js builds it again"


def test_client_is_small_and_needs_nothing_else():
    assert len(gzip.compress(BUILT.read_bytes())) < MOST_BYTES
    assert "dependencies" not in json.loads((CLIENT / "package.json").read_text("utf-8"))
    assert not re.search(r"\bimport\b", BUILT.read_text("utf-8"))


def test_types_are_those_of_the_schema():
    from clients.js.generate import TARGET, protocol_types

    is_same = TARGET.read_text("utf-8") == protocol_types()
    assert is_same, "`make docs` writes them again"


def test_documented_close_codes_are_all_read():
    found = {(row["code"], row["reason"], row["final"]) for row in close_codes()}
    codes = {*range(1000, 1004), *range(1007, 1010), *range(1011, 1014)}
    assert {code for code, _, _ in found} == codes
    assert (1008, "Invalid IP address", True) in found
    assert (1008, "Rate limit exceeded", False) in found
