"""What is made of the figures: the dashboard, the alerts, and the live view of the terminal."""

import asyncio
import json
import re
import time

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastchat.cli import main, top
from tests.functional.chat.talking import page, say
from tests.source.test_documents import ROOT

DASHBOARD = json.loads((ROOT / "deploy/grafana/fastchat.json").read_text("utf-8"))
ALERTS = (ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8")
SELECTOR = re.compile(r"(fastchat_[a-z_]+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"by \(([a-z_, ]+)\)")
# Set by Prometheus.
SCRAPED = {"instance", "job", "__all"}


def queries():
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])


@pytest.fixture
async def figures(chat):
    """The page of a server on which there was something of everything."""
    alice, bob = await chat.join(1), await chat.join(2)
    await say(alice, "2")
    await page(bob, "1")
    await alice.request(type="no_such_command")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{chat.http_url}/metrics/prometheus") as response,
    ):
        return await response.text()


def names_and_labels(text):
    """What a scrape would have: sample names, each with its labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_every_query_and_every_alert_asks_for_figures_that_there_are(figures):
    found = names_and_labels(figures)
    used = set()
    for text in (*queries(), ALERTS):
        names = [match for match in SELECTOR.findall(text) if f'"{match[0]}' not in text]
        for name, selector in names:
            assert name in found, (name, text)
            used.add(name)
            labels = set(re.findall(r"([a-z_]+)\s*(?:=|!)", selector))
            assert labels <= found[name] | SCRAPED, (name, selector)
        for group in GROUPED.findall(text):
            known = set().union(*(found[name] for name, _ in names)) | SCRAPED
            assert set(group.split(", ")) <= known, text
    assert len(used) > 50
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


async def test_the_runbook_knows_every_alert():
    runbook = (ROOT / "docs/runbook.md").read_text("utf-8")
    names = re.findall(r"alert: (\w+)", ALERTS)
    assert names
    assert [name for name in names if f"### {name}\n" not in runbook] == []


async def test_the_live_view_shows_what_the_page_says(chat, figures, capsys):
    url = ["--url", chat.http_url]
    assert await asyncio.to_thread(main, ["top", "--once", *url]) == 0
    shown = capsys.readouterr().out
    assert "database answers" in shown
    assert "connections 2 (most 2)" in shown
    assert "UNKNOWN_TYPE 1" in shown
    assert re.search(r"^1 +2 ", shown, re.MULTILINE), shown
    before = top.read(figures, time.monotonic() - 2.0)
    alice = await chat.join(3)
    for _ in range(4):
        await say(alice, "4")
    text = await asyncio.to_thread(top.fetch, chat.http_url + top.PAGE)
    now = top.read(text, before.at + 2.0)
    lines = list(top.picture(now, before))
    assert lines[4].split()[2] == "2.0"  # stored per second
    assert 0 < top.quantile(now, before, "send_to_ack_seconds", 0.5) < 5


def test_the_live_view_says_why_there_is_none(capsys):
    for url in ("http://127.0.0.1:1", "ftp://127.0.0.1"):
        assert main(["top", "--once", "--url", url]) == 1
        assert "fastchat top: " in capsys.readouterr().err
    with pytest.raises(ValueError, match="no page with the figures"):
        top.read("# HELP x y\nx 1\n", 0.0)
