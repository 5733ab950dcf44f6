"""The demo page in Chromium: two users side by side, with real sockets."""

import itertools
import re

import pytest
from playwright.async_api import expect

from tests.functional.browser.page import NAMES

pytestmark = pytest.mark.asyncio(loop_scope="package")

numbers = itertools.count(1)
HOSTILE = (
    '<img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    '"><svg onload=window.hacked=1>',
    "javascript:window.hacked=1",
    "${window.hacked=1} {{window.hacked=1}}",
    "<b>bold</b> &amp; &lt;i&gt;",
    "\u202etfel ot thgir\u202c",
)


def fresh(text):
    """Text that no other test has written."""
    return f"{text} {next(numbers)}"


async def side_by_side(open_page):
    """Alice and Bob, each with the other one's conversation open."""
    page = await open_page()
    alice, bob = page.pane("alice"), page.pane("bob")
    await alice.chat_with("bob")
    await bob.chat_with("alice")
    return page, alice, bob


async def test_two_users_are_logged_in_and_chat(open_page):
    _, alice, bob = await side_by_side(open_page)
    await expect(alice.entry(NAMES["bob"]).locator(".presence")).to_be_visible()
    text = fresh("hello Bob")
    await alice.write(text)
    await bob.sees(text)
    await alice.has_mark(text, "read")
    await bob.announced(f"alice: {text}")
    await expect(alice.field).to_have_value("")
    await alice.field.press_sequentially("ab")
    await expect(bob.box.locator(".typing")).to_have_text("alice is writing")
    await alice.field.fill("")
    await expect(bob.box.locator(".typing")).to_have_text("")


async def test_messages_are_edited_deleted_answered_pinned_and_reacted_to(open_page):
    _, alice, bob = await side_by_side(open_page)
    first, second = fresh("first"), fresh("second")
    await alice.write(first)
    await bob.act(first, "React")
    await bob.message(first).get_by_role("button", name="🎉").click()
    await expect(alice.message(first).locator(".reactions")).to_contain_text("🎉")

    await bob.act(first, "Reply")
    await bob.write(second)
    await expect(alice.message(second).locator(".quote")).to_contain_text(first)

    await alice.act(first, "Pin")
    await bob.box.get_by_role("button", name="Pinned messages").click()
    await expect(bob.box.locator(".pins")).to_contain_text(first)
    await bob.box.get_by_role("button", name="Pinned messages").click()

    changed = fresh("changed")
    await alice.act(first, "Edit")
    await alice.write(changed)
    await expect(bob.message(changed).locator(".meta")).to_contain_text("edited")

    await alice.act(changed, "Delete")
    await alice.box.get_by_role("button", name="Delete for everyone").click()
    await expect(bob.message(changed)).to_have_count(0)
    await expect(alice.message(changed)).to_have_count(0)
    await bob.act(second, "Delete")
    await bob.box.get_by_role("button", name="Delete for me").click()
    await expect(bob.message(second)).to_have_count(0)
    await alice.sees(second)


async def test_a_conversation_that_is_not_open_counts_what_is_unread(open_page):
    _, alice, bob = await side_by_side(open_page)
    name = fresh("Counting")
    await bob.create_group(name, "alice")
    await bob.write("one")
    await bob.write("two")
    entry = alice.entry(name)
    await expect(entry.locator(".badge")).to_have_text("2 unread")
    await bob.write("@alice three")
    await expect(entry.locator(".is-mention")).to_be_visible()
    await entry.click()
    await expect(alice.entry(name).locator(".badge")).to_have_count(0)
    await expect(alice.message("@alice three").locator(".mention.is-me")).to_have_text("@alice")


async def test_a_third_user_in_a_group_with_roles(open_page):
    page = await open_page("alice", "bob", "carol", viewport={"width": 2000, "height": 900})
    alice, bob, carol = (page.pane(user) for user in NAMES)
    name, text = fresh("Friends"), fresh("hello all")
    await alice.create_group(name, "bob", "carol")
    await bob.open(name)
    await carol.open(name)
    await alice.field.press_sequentially("@ca")
    await expect(alice.box.get_by_role("option", name="@carol")).to_be_visible()
    await alice.field.press("Enter")
    await alice.field.press_sequentially(text)
    await alice.field.press("Enter")
    for each in (bob, carol):
        await each.sees(f"@carol {text}")
    await carol.write("here I am")
    for each in (alice, bob):
        await each.sees("here I am")

    await alice.box.get_by_role("button", name="Members", exact=True).click()
    members = alice.box.locator(".members li")
    await expect(members).to_have_count(3)
    of_bob = members.filter(has_text=NAMES["bob"])
    await of_bob.locator("summary").click()
    await of_bob.get_by_role("button", name="Make admin").click()
    await expect(of_bob.locator(".role")).to_have_text("admin")
    await bob.box.get_by_role("button", name="Members", exact=True).click()
    of_carol = bob.box.locator(".members li").filter(has_text=NAMES["carol"])
    await of_carol.locator("summary").click()
    await of_carol.get_by_role("button", name="Remove").click()
    await expect(carol.entry(name)).to_have_count(0)
    await expect(members).to_have_count(2)


async def test_cut_and_recover_with_nothing_lost_or_doubled(open_page):
    _, alice, bob = await side_by_side(open_page)
    name = fresh("Wire")
    await alice.create_group(name, "bob")
    await bob.open(name)
    await alice.write("before")
    await bob.sees("before")
    await bob.cut()
    await expect(bob.box.locator(".status-text")).to_have_text(re.compile(r"Next try in \d+ s"))
    for number in range(5):
        await alice.write(f"alice {number}")
        await bob.write(f"bob {number}")
    await alice.has_mark("alice 4", "sent")
    await bob.has_mark("bob 4", "pending")
    await expect(bob.outgoing).to_have_count(5)
    await bob.mend()
    await expect(bob.notice).to_contain_text("Sent from the outbox: 5. Caught up with: 5.")
    await expect(bob.notice).to_contain_text("Lost: 0. Doubled: 0.")
    await expect(bob.outgoing).to_have_count(0)
    await alice.sees("bob 4")
    expected = ["before", *(f"alice {n}" for n in range(5)), *(f"bob {n}" for n in range(5))]
    assert await alice.texts() == expected
    assert await bob.texts() == expected


async def test_history_comes_by_scrolling_up(open_page, demo_server):
    name = fresh("History")
    async with await demo_server.join(1) as writer:
        created = await writer.request(type="create_group", groupName=name, initialMembers=["2"])
        for number in range(130):
            await writer.send(
                type="send_group_message", groupId=created["groupId"], content=f"number {number}"
            )
        for _ in range(130):
            await writer.expect("group_message_sent")
    page = await open_page()
    bob = page.pane("bob")
    await bob.open(name)
    await bob.sees("number 129")
    assert len(await bob.texts()) < 130
    box = bob.box.locator(".messages")
    while await bob.box.get_by_role("button", name="Older messages").count():
        before = len(await bob.texts())
        await box.evaluate("box => box.scrollTop = 0")
        await expect(bob.messages).not_to_have_count(before)
        # What one looked at is still there, not what came above it.
        assert await box.evaluate("box => box.scrollTop") > 0
    assert await bob.texts() == [f"number {number}" for number in range(130)]


async def test_text_that_looks_like_code_is_shown_as_text(open_page):
    page, alice, bob = await side_by_side(open_page)
    name = fresh("<img src=x onerror=window.hacked=1>")
    await alice.create_group(name, "bob")
    await bob.open(name)
    for text in HOSTILE:
        await alice.write(text)
    await expect(bob.messages).to_have_count(len(HOSTILE))
    assert await bob.texts() == list(HOSTILE)
    assert await bob.messages.locator("img, script, svg:not(.icon), b").count() == 0
    assert await page.page.evaluate("window.hacked") is None


async def test_everything_can_be_done_with_the_keyboard(open_page):
    page, alice, bob = await side_by_side(open_page)
    keyboard = page.page.keyboard
    text, reply, edited = fresh("typed"), fresh("answered"), fresh("corrected")
    await keyboard.press("Alt+1")
    await expect(alice.field).to_be_focused()
    await keyboard.type(text)
    await keyboard.press("Enter")
    await bob.sees(text)
    await keyboard.press("Alt+2")
    await expect(bob.field).to_be_focused()
    await bob.messages.last.focus()
    await keyboard.press("1")
    await expect(alice.message(text).locator(".reactions")).to_contain_text("👍")
    await keyboard.press("r")
    await expect(bob.field).to_be_focused()
    await keyboard.type(reply)
    await keyboard.press("Enter")
    await alice.sees(reply)
    await keyboard.press("ArrowUp")
    await expect(bob.field).to_have_value(reply)
    await keyboard.press("Escape")
    await expect(bob.field).to_have_value("")
    await keyboard.press("ArrowUp")
    await bob.field.fill(edited)
    await keyboard.press("Enter")
    await alice.sees(edited)
    await bob.messages.last.focus()
    await keyboard.press("ArrowUp")
    await expect(bob.messages.nth(-2)).to_be_focused()
    await keyboard.press("?")
    await expect(page.page.get_by_role("dialog", name="Keys")).to_be_visible()
    await keyboard.press("Escape")
    await expect(page.page.get_by_role("dialog", name="Keys")).to_be_hidden()


async def test_frames_are_shown_without_tokens_and_figures_as_charts(open_page):
    page, alice, _ = await side_by_side(open_page)
    text = fresh("look at me")
    charts = page.page.get_by_role("region", name="Charts")
    for title in ("Messages/s", "Send to disk"):
        await expect(charts.get_by_role("img", name=title)).to_be_visible()
    await expect(charts.locator(".workers b")).to_have_text(re.compile(r"[2-9]"))
    await page.page.get_by_role("button", name="Inspector").click()
    await alice.write(text)
    frames = page.page.get_by_role("region", name="Inspector").locator(".frames").first
    await expect(frames.locator("li", has_text="send_private_message")).to_contain_text(text)
    await frames.locator("li", has_text="send_private_message").get_by_role("button").click()
    await expect(frames.locator("pre")).to_contain_text('"clientMessageId"')
    await expect(frames.locator("li", has_text='"authenticate"')).to_contain_text('"token":"…"')
    assert "eyJ" not in await page.page.content()


async def test_a_phone_shows_one_user_and_one_thing_at_a_time(open_page):
    page = await open_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    alice, bob = page.pane("alice"), page.pane("bob")
    await expect(bob.box).to_be_hidden()
    await alice.chat_with("bob")
    await expect(alice.box.locator(".conversations")).to_be_hidden()
    text = fresh("from a phone")
    await alice.write(text)
    await alice.box.get_by_role("button", name="All conversations").click()
    await expect(alice.field).to_have_count(0)
    tab = page.page.get_by_role("navigation", name="Users").get_by_role("button", name="Bob Baker")
    await expect(tab).to_contain_text(re.compile(r"\d"))
    await tab.click()
    await expect(alice.box).to_be_hidden()
    await bob.open(NAMES["alice"])
    await bob.sees(text)
    width = await page.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


async def test_colours_follow_the_system_until_one_chooses(open_page):
    page = await open_page(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.page.evaluate(ground)
    await page.page.get_by_role("button", name="Colours: auto").click()
    await page.page.get_by_role("button", name="Colours: light").hover()
    light = await page.page.evaluate(ground)
    assert dark != light
    await page.page.get_by_role("button", name="Colours: light").click()
    assert await page.page.evaluate(ground) == dark
    await page.page.get_by_role("button", name="Colours: dark").click()
