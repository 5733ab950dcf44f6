"""The files of the demo page, its policy, and who gets tokens."""

import hashlib
import json
import re
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from fastchat.auth.demo import demo_key
from fastchat.handlers.page import FILES, POLICY
from tests.functional.browser.conftest import running
from tests.functional.browser.nodes import run_tests
from tests.functional.client import ChatClient
from tests.functional.failure.process import SECRET, token

in_browser_loop = pytest.mark.asyncio(loop_scope="package")

ROOT = Path(__file__).resolve().parents[3]
PRODUCTION = {"NODE_ENV": "production", "LOG_LEVEL": "info"}


@pytest_asyncio.fixture(loop_scope="package")
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


def origin(server):
    return "http" + server.url.removeprefix("ws")


async def ask_for_tokens(http, server, **body):
    async with http.post(f"{origin(server)}/demo/tokens", json=body) as answer:
        return answer.status, await answer.json()


@in_browser_loop
async def test_every_file_comes_with_a_policy_that_allows_nothing_foreign(http, demo_server):
    for path, (_, content_type) in FILES.items():
        async with http.get(origin(demo_server) + path) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == content_type
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "unsafe" not in POLICY
    assert "*" not in POLICY


@in_browser_loop
async def test_the_key_of_the_link_gives_tokens_of_the_demo_users(http, demo_server):
    status, body = await ask_for_tokens(http, demo_server, key=demo_key(SECRET))
    assert status == 200
    assert [user["username"] for user in body["users"]] == ["alice", "bob", "carol"]
    for user in body["users"]:
        async with await ChatClient.connect(demo_server.url, user["token"]) as client:
            assert client.user["displayName"] == user["displayName"]


@pytest.mark.parametrize("key", ["", "x", demo_key(bytes(64)), "\ud800", "é"])
@in_browser_loop
async def test_another_key_gives_nothing(http, demo_server, key):
    status, body = await ask_for_tokens(http, demo_server, key=key)
    assert status in (400, 401)
    assert "users" not in body


@in_browser_loop
async def test_what_is_no_key_at_all_is_refused(http, demo_server):
    for body in ({}, {"key": 1}, {"key": None}):
        assert (await ask_for_tokens(http, demo_server, **body))[0] == 400


@in_browser_loop
async def test_in_production_the_page_is_off(http, database):
    async with running(**PRODUCTION, DATABASE_URL=database) as server:
        for path in (*FILES, "/demo/tokens"):
            async with http.get(origin(server) + path) as answer:
                assert answer.status == 404


@in_browser_loop
async def test_in_production_one_signs_in_with_a_token(http, browser, database):
    settings = {"DATABASE_URL": database, "DEMO_PAGE": "true"}
    async with running(**PRODUCTION, **settings) as server:
        assert (await ask_for_tokens(http, server, key=demo_key(SECRET)))[0] == 404
        page = await browser.new_page()
        await page.goto(f"{origin(server)}/demo")
        for user in ("user1", "user2"):
            await page.get_by_label("Token").fill(token(user.removeprefix("user")))
            await page.get_by_role("button", name="Sign in").click()
            status = page.locator(f".pane[data-user={user}] .status")
            await expect(status).to_have_attribute("data-state", "online")
        await expect(page.get_by_label("Token")).to_have_count(0)
        await page.get_by_role("button", name="Sign out").first.click()
        await expect(page.locator(".pane")).to_have_count(1)
        await page.close()


@in_browser_loop
async def test_what_the_page_makes_of_news_and_figures(node):
    await run_tests(node, ROOT / "web" / "tests" / "store.test.mjs")


def test_built_page_is_that_of_the_sources():
    web = ROOT / "web"
    paths = [web / "index.html", ROOT / "clients/js/dist/index.js"]
    paths += [path for name in ("src", "public") for path in (web / name).rglob("*")]
    digest = hashlib.sha256()
    for path in sorted(str(path) for path in paths if path.is_file()):
        digest.update(Path(path).read_bytes())
    built = (ROOT / "fastchat/page/app.js").read_text("utf-8")
    found = re.search(r"sources ([0-9a-f]{64})", built)
    assert found is not None
    is_current = found[1] == digest.hexdigest()
    assert is_current, "`npm run build` in web builds it again"


def test_licences_of_what_is_built_into_the_page_are_beside_it():
    names = json.loads((ROOT / "web/package.json").read_text("utf-8"))["devDependencies"]
    found = (ROOT / "fastchat/page/licenses.txt").read_text("utf-8").splitlines()
    assert {name for name in names if name != "vite"} <= set(found)
