"""The demo page as a person uses it: panes, conversations, messages."""

from playwright.async_api import Page, expect

from fastchat.auth.demo import demo_key
from tests.functional.failure.process import SECRET

WIDE = {"width": 1440, "height": 900}
NAMES = {"alice": "Alice Archer", "bob": "Bob Baker", "carol": "Carol Carter"}


class DemoPage:
    """One tab; ``close`` says whether anything went wrong in it."""

    def __init__(self, page: Page, server_url: str) -> None:
        self.page = page
        self.origin = "http" + server_url.removeprefix("ws")
        self.faults: list[str] = []
        self.requests: set[str] = set()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._note)
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self.requests.add(request.url))

    def _note(self, message) -> None:
        # A server that is away is no fault of the page.
        if message.type in ("error", "warning") and "net::ERR" not in message.text:
            self.faults.append(message.text)

    async def open(self, *users: str, viewport=WIDE, color_scheme="light") -> None:
        """Open the link of the banner and wait until everybody is online."""
        await self.page.set_viewport_size(viewport)
        await self.page.emulate_media(color_scheme=color_scheme)
        chosen = f"?users={','.join(users)}" if users else ""
        await self.page.goto(f"{self.origin}/demo{chosen}#{demo_key(SECRET)}")
        for user in users or ("alice", "bob"):
            await self.pane(user).online()

    def pane(self, username: str) -> "Pane":
        return Pane(self.page, username)

    async def close(self) -> None:
        await self.page.close()
        assert self.faults == []
        # Everything comes from the server itself.
        foreign = [url for url in self.requests if not url.startswith(self.origin + "/")]
        assert foreign == []


class Pane:
    """What one user sees."""

    def __init__(self, page: Page, username: str) -> None:
        self.page = page
        self.username = username
        self.box = page.locator(f".pane[data-user={username}]")
        self.field = self.box.get_by_role("textbox", name="Message")
        self.messages = self.box.locator(".message")
        self.outgoing = self.box.locator(".message.is-outgoing")
        self.notice = self.box.locator(".notice")
        self.head = self.box.locator(".thread-title h2")

    async def online(self) -> None:
        await self.state("online")

    async def state(self, name: str) -> None:
        await expect(self.box.locator(".status")).to_have_attribute("data-state", name)

    def entry(self, title: str):
        """A conversation in the list."""
        return self.box.locator(".entry").filter(has=self.page.get_by_text(title, exact=True))

    async def open(self, title: str) -> None:
        await self.entry(title).click()
        await expect(self.head).to_have_text(title)

    async def chat_with(self, username: str) -> None:
        """Open the conversation with another demo user, a new one too."""
        await self.box.get_by_role("button", name="Chat", exact=True).click()
        await self.box.locator(".people button", has_text=NAMES[username]).click()
        await expect(self.head).to_have_text(NAMES[username])

    async def create_group(self, name: str, *usernames: str) -> None:
        await self.box.get_by_role("button", name="Group", exact=True).click()
        dialog = self.box.get_by_role("dialog", name="New group")
        await dialog.get_by_label("Name", exact=True).fill(name)
        for username in usernames:
            await dialog.get_by_label(NAMES[username]).check()
        await dialog.get_by_role("button", name="Create").click()
        await expect(self.head).to_have_text(name)

    async def write(self, text: str) -> None:
        await self.field.fill(text)
        await self.field.press("Enter")

    def message(self, text: str):
        """The message with exactly this text."""
        content = self.page.locator(".bubble > .content").get_by_text(text, exact=True)
        same = self.page.locator(".bubble > .content").filter(has_text=text)
        return self.messages.filter(has=same.or_(content))

    async def sees(self, text: str) -> None:
        await expect(self.message(text)).to_be_visible()

    async def has_mark(self, text: str, mark: str) -> None:
        await expect(self.message(text).get_by_role("img", name=mark, exact=True)).to_be_visible()

    async def act(self, text: str, action: str) -> None:
        """Choose something in the toolbar of a message."""
        message = self.message(text)
        await message.locator(".bubble").hover()
        await message.get_by_role("button", name=action, exact=True).click()

    async def texts(self) -> list[str]:
        """The texts of all messages, from the oldest."""
        return await self.messages.locator(".bubble > .content").all_inner_texts()

    async def announced(self, text: str) -> None:
        """Wait until a screen reader was told something."""
        await expect(self.box.locator("[aria-live=polite]")).to_contain_text(text)

    async def cut(self) -> None:
        await self.box.get_by_role("button", name="Cut the wire").click()
        await self.state("waiting")

    async def mend(self) -> None:
        await self.box.get_by_role("button", name="Mend the wire").click()
        await self.online()
