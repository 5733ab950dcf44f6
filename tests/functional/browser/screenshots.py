"""Write the two pictures of the page that the README shows: run this module.

A user whom nobody sees makes the traffic in the charts. ``pngquant`` makes the files smaller.
"""

import asyncio
import math
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tests.functional.browser.browsing import open_browser
from tests.functional.browser.page import DemoPage, Pane
from tests.functional.failure.process import ServerProcess
from tests.functional.store.folders import public_folder

TARGET = Path(__file__).resolve().parents[3] / "docs" / "images"
SIZE = {"width": 1320, "height": 860}
TRAFFIC = 60.0  # seconds
GROUP = "Release party"


async def make_traffic(server: ServerProcess) -> None:
    """Let Carol talk to a group of her own, now more and now less."""
    async with await server.join(3) as carol, await server.join(3):
        group = await carol.request(type="create_group", groupName="Load")
        steps = 0
        while True:
            steps += 1
            for _ in range(round(6 + 4 * math.sin(steps / 9) + 2 * math.sin(steps / 2))):
                await carol.send(
                    type="send_group_message", groupId=group["groupId"], content="load"
                )
            await asyncio.sleep(0.35)


async def chat(alice: Pane, bob: Pane) -> None:
    """Fill both panes."""
    await alice.create_group(GROUP, "bob", "carol")
    await alice.write("Who brings the cake?")
    await alice.chat_with("bob")
    await bob.chat_with("alice")
    await alice.write("Hi Bob! Is the new server up?")
    await bob.sees("Hi Bob! Is the new server up?")
    await bob.write("Since this morning. A message counts as sent once it is on disk, not before.")
    await alice.sees("Since this morning. A message counts as sent once it is on disk, not before.")
    await alice.write("And when the train goes into a tunnel?")
    await bob.sees("And when the train goes into a tunnel?")
    await bob.act("And when the train goes into a tunnel?", "Reply")
    await bob.write("Cut my wire and see: what we write meanwhile arrives once, in order.")
    await alice.sees("Cut my wire and see: what we write meanwhile arrives once, in order.")
    await alice.act("Cut my wire and see: what we write meanwhile arrives once, in order.", "React")
    await alice.box.get_by_role("button", name="🎉").last.click()
    await bob.act("Hi Bob! Is the new server up?", "Pin")


async def take(page: DemoPage) -> None:
    """Play the scene and write both pictures."""
    alice, bob = page.pane("alice"), page.pane("bob")
    await chat(alice, bob)
    await asyncio.sleep(TRAFFIC)
    await bob.field.press_sequentially("By the way")
    await page.page.mouse.move(5, 5)
    await alice.box.locator(".typing .dots").wait_for()
    await page.page.screenshot(path=TARGET / "page-light.png")

    await page.page.emulate_media(color_scheme="dark")
    await page.page.get_by_role("button", name="Inspector").click()
    await bob.cut()
    await bob.write("By the way, I am in the tunnel now.")
    await bob.write("Nobody hears me.")
    await alice.write("Bob? Lemon or chocolate?")
    await alice.has_mark("Bob? Lemon or chocolate?", "sent")
    await page.page.mouse.move(5, 5)
    await page.page.screenshot(path=TARGET / "page-dark.png")
    await bob.mend()


async def main() -> None:
    """Start a server and a browser, and take the pictures."""
    TARGET.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(public_folder())
        server = ServerProcess(
            folder, NODE_ENV="development", PRESENCE_SCOPE="all", WEB_CONCURRENCY="2"
        )
        await server.start()
        stack.push_async_callback(server.close)
        browser = await stack.enter_async_context(open_browser())
        traffic = asyncio.create_task(make_traffic(server))
        page = DemoPage(await browser.new_page(), server.url)
        await page.open(viewport=SIZE)
        await take(page)
        await page.close()
        traffic.cancel()
        with suppress(asyncio.CancelledError):
            await traffic


if __name__ == "__main__":
    asyncio.run(main())
