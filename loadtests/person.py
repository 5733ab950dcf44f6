"""One person at one device, with ``fastchat.client``, and what all persons of a process share.

Times are taken on the event loop of the clients, where events arrive, so that it makes no
difference how busy the greenlets are.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from msgspec import UNSET

from fastchat.bench.peer import SeenMessage
from fastchat.bench.tally import Tally
from fastchat.client import Client, Resync, SendDelayed, State, StateChanged
from fastchat.client.errors import ClientClosed, CommandFailed, ConnectionLost
from fastchat.client.positions import SavedPositions
from fastchat.protocol.group_types import GroupMessageSent, NewGroupMessage
from fastchat.protocol.message_types import Message, MessageSent, NewPrivateMessage
from fastchat.protocol.system_types import Welcome
from loadtests.arguments import token

TIMEOUT = 15.0  # seconds for an answer, stored messages included
PATIENCE = 30.0  # seconds to be online
FAREWELL = 5.0  # seconds for what is still on its way to a person
GROUP = 10  # persons in a group
PAGE = 200  # messages

# Kind, name, seconds, what went wrong.
Report = Callable[[str, str, float, Exception | None], None]
T = TypeVar("T")


class Room:
    """What the persons of this process share: who sent what when, and what came."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.sent: dict[str, tuple[float, set[str]]] = {}  # by clientMessageId: when, to whom
        self.present: set[str] = set()  # who has entered
        self.groups: dict[int, str] = {}
        self.numbers = itertools.count()
        self.prefix = f"{random.getrandbits(40):x}-"

    def send(self, receivers: set[str]) -> str:
        """Return the id of a message that is sent now."""
        name = f"{self.prefix}{next(self.numbers)}"
        # Who has not begun yet, or has gone, hears of it later or never.
        if waiting := receivers & self.present:
            self.sent[name] = time.monotonic(), waiting
        return name

    def deliver(self, receiver: str, name: str) -> float | None:
        """A message came to a person; return how long it took, None if that is not known."""
        began, receivers = self.sent.get(name, (0.0, set()))
        if receiver not in receivers:
            return None
        receivers.discard(receiver)
        if not receivers:
            del self.sent[name]
        return time.monotonic() - began

    def waits_for(self, receiver: str) -> bool:
        return any(receiver in receivers for _, receivers in self.sent.values())


class Person:
    """Comes, writes, reads, and goes; reports how long each took."""

    def __init__(
        self, url: str, number: int, first: int, room: Room, report: Report, address: str | None
    ) -> None:
        self.number = number
        self.user_id = str(first + number)
        self.other_id = str(first + (number ^ 1))
        group = first + number // GROUP * GROUP
        self.members = [str(user_id) for user_id in range(group, group + GROUP)]
        self.client: Client | None = None
        self._url = url
        self._room = room
        self._report = report
        self._address = address
        self._positions: SavedPositions | None = None
        self._conversation_id = ""
        self._last_message_id = ""
        self._stage = ""  # what the client is at, until it is online
        self._began = 0.0
        self._is_leaving = False
        self._reading: set[asyncio.Task[None]] = set()

    async def enter(self) -> bool:
        """Be online, and have what was missed; false: that took too long."""
        self._is_leaving = False
        self.client = client = Client(
            self._url,
            lambda: token(self.user_id),
            positions=self._positions,
            first_limit=1,
            answer_timeout=TIMEOUT,
            local_address=self._address,
        )
        client.on(StateChanged, self._note_state)
        client.on(Welcome, lambda _: self._finish_stage("log-in"))
        client.on(MessageSent, lambda event: self._note(event.message))
        client.on(GroupMessageSent, lambda event: self._note(event.message))
        client.on(NewPrivateMessage, lambda event: self._take(event.message, "direct delivery"))
        client.on(NewGroupMessage, lambda event: self._take(event.message, "group delivery"))
        client.on(SendDelayed, self._note_delay)
        client.on(Resync, self._reload)
        client.start()
        try:
            async with asyncio.timeout(PATIENCE):
                await client.online()
        except (TimeoutError, ClientClosed) as error:
            self._report("CONNECT", "be online", PATIENCE, error)
            await self.leave()
            return False
        self._room.present.add(self.user_id)
        return True

    async def leave(self) -> None:
        """Go, and keep in mind how far everything is known."""
        self._is_leaving = True
        if self.client is not None:
            client, self.client = self.client, None
            self._positions = client.positions
            await client.close()
        for task in self._reading:
            task.cancel()

    async def say_goodbye(self) -> None:
        """Wait a while for what is on its way, and go for good."""
        if self.client is None:
            await self.enter()  # he was stopped while he was away
        end = time.monotonic() + FAREWELL
        while self._room.waits_for(self.user_id) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self._room.present.discard(self.user_id)  # what comes from now on is not waited for
        await self.leave()

    async def write_to_the_other(self) -> None:
        assert self.client is not None
        name = self._room.send({self.other_id})
        sending = self.client.send_private_message(self.other_id, "x" * 100, client_message_id=name)
        answer = await self._acknowledged("direct ack", name, sending)
        if answer is not None:
            self._last_message_id = answer.message_id
            self._conversation_id = answer.message.conversation_id

    async def write_to_the_group(self) -> None:
        assert self.client is not None
        group_id = self._room.groups.get(self.number // GROUP) or await self._make_group()
        if group_id:
            name = self._room.send(set(self.members) - {self.user_id})
            sending = self.client.send_group_message(group_id, "x" * 100, client_message_id=name)
            await self._acknowledged("group ack", name, sending)

    async def read_the_history(self) -> None:
        assert self.client is not None
        if self._conversation_id:
            await self._ask("history", self.client.get_private_messages(self._conversation_id))

    async def react(self) -> None:
        assert self.client is not None
        if self._last_message_id:
            await self._ask("reaction", self.client.add_reaction(self._last_message_id, "+1"))

    async def type_something(self) -> None:
        assert self.client is not None
        for is_typing in (True, False):
            self.client.typing(is_typing, recipient_id=self.other_id)

    async def _make_group(self) -> str:
        """Let the first of ten make the group of all; the others wait until there is one."""
        assert self.client is not None
        if self.number % GROUP == 0:
            answer = await self._ask(
                "group", self.client.create_group("load", members=self.members)
            )
            if answer is not None:
                self._room.groups[self.number // GROUP] = answer.group.group_id
        return self._room.groups.get(self.number // GROUP, "")

    async def _acknowledged(self, what: str, name: str, sending: "asyncio.Future[T]") -> T | None:
        async def acknowledgement() -> T:
            return await sending

        answer = await self._ask(what, acknowledgement())
        if answer is None:
            self._room.sent.pop(name, None)
        return answer

    async def _ask(self, name: str, work: Coroutine[Any, Any, T]) -> T | None:
        """Wait for an answer, report the time; None when there is no good one."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await work
        except (TimeoutError, CommandFailed, ConnectionLost, ClientClosed) as error:
            self._report("ASK", name, time.monotonic() - began, error)
            return None
        self._report("ASK", name, time.monotonic() - began, None)
        return answer

    def _note_state(self, change: StateChanged) -> None:
        if change.state is State.CONNECTING:
            self._stage, self._began = "connect", time.monotonic()
        elif change.state is State.SYNCING:
            self._finish_stage("what was missed")
        elif change.state is State.ONLINE:
            self._finish_stage("")
        elif change.state is not State.AUTHENTICATING and not self._is_leaving:
            # He comes back by himself.
            error = ConnectionError(f"{change.reason} ({change.close_code})")
            self._report("CONNECT", self._stage or "stay connected", 0.0, error)

    def _finish_stage(self, following: str) -> None:
        now = time.monotonic()
        kind = "CONNECT" if self._stage == "connect" else "ASK"
        self._report(kind, self._stage, now - self._began, None)
        self._stage, self._began = following, now

    def _note_delay(self, event: SendDelayed) -> None:
        self._report("ASK", "send at once", 0.0, RuntimeError(event.code))

    def _note(self, message: Message) -> bool:
        return self._room.tally.note(self.user_id, _seen(message))

    def _take(self, message: Message, name: str) -> None:
        if self._note(message):
            took = self._room.deliver(self.user_id, _seen(message).client_message_id)
            # Not of what he missed while he was away.
            if took is not None and not self._stage:
                self._report("DELIVERY", name, took, None)

    def _reload(self, event: Resync) -> None:
        """Read what was missed in a conversation where it was too much for the client."""
        group_id = event.news.group_id
        task = asyncio.create_task(
            self._read(event.news.conversation_id, None if group_id is UNSET else group_id)
        )
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, conversation_id: str, group_id: str | None) -> None:
        assert self.client is not None
        after = self._room.tally.known(self.user_id).get(conversation_id, 0)
        has_more = True
        while has_more:
            if group_id is None:
                work = self.client.get_private_messages(conversation_id, after=after, limit=PAGE)
            else:
                work = self.client.get_group_messages(group_id, after=after, limit=PAGE)
            page = await self._ask("what was missed", work)
            if page is None:
                return
            for message in page.messages:
                after = message.seq
                seen = _seen(message)
                self._room.tally.note_missed(self.user_id, seen)
                self._room.deliver(self.user_id, seen.client_message_id)
            has_more = page.pagination.has_more


def _seen(message: Message) -> SeenMessage:
    name = message.client_message_id
    return SeenMessage(
        message.conversation_id, message.sender_id, message.seq, "" if name is UNSET else name
    )
