"""The documented limits that are spans of time, each driven to its edge.

Three are minutes long and have two checks each: one on a server whose settings shorten them, and
one with the real value, for ``python -m loadtests.documented_limits --whole``.
"""

import asyncio
import time

from fastchat.bench.private_server import PrivateServer
from loadtests.guests import BOUND, SPARE, Edge, expect, guest, send, stay, until, user, within

# Seconds.
AUTHENTICATION, GRACE = 10.0, 60.0
INACTIVITY, EDITING, SILENCE = 300.0, 300.0, 60.0
SHORT_INACTIVITY, SHORT_EDITING, SHORT_SILENCE = 5.0, 3.0, 1.0
SHORT = {
    "CONNECTION_TIMEOUT": f"{SHORT_INACTIVITY * 1000:.0f}",
    "EDIT_WINDOW": f"{SHORT_EDITING * 1000:.0f}",
    "KEEP_ALIVE_TIMEOUT": f"{SHORT_SILENCE * 1000:.0f}",
}
BEFORE, AFTER = 1.0, 0.1  # seconds from the edge of the edit window


async def authentication_deadline(server: PrivateServer) -> str:
    """10 s to authenticate."""
    began = time.monotonic()
    async with guest(server) as peer:
        ending = await peer.ended(BOUND)
        took = time.monotonic() - began
        expect(ending, (1008, "Authentication timeout"), "a connection that does not authenticate")
        within(took, AUTHENTICATION, "a connection that does not authenticate")
    return f"closed 1008 after {took:.1f} s"


async def offline_grace(server: PrivateServer) -> str:
    """60 s of grace before a user is offline."""
    told: dict[str, float] = {}

    def note(_, seen) -> None:
        if seen.type in ("user_online", "user_offline"):
            told[seen.type] = time.monotonic()

    async with user(server, 17, note):
        async with user(server, 18):
            pass
        await until(lambda: "user_online" in told)
        async with user(server, 18):
            pass
        left = time.monotonic()
        await until(lambda: "user_offline" in told, GRACE + BOUND)
        took = told["user_offline"] - left
        within(took, GRACE, "a user who has left")
    return f"offline {took:.1f} s after the last connection ended"


async def inactivity(server: PrivateServer) -> str:
    """CONNECTION_TIMEOUT, shortened to 5 s."""
    return await stay_silent(server, SHORT_INACTIVITY)


async def whole_inactivity(server: PrivateServer) -> str:
    """CONNECTION_TIMEOUT, 5 min."""
    return await stay_silent(server, INACTIVITY)


async def stay_silent(server: PrivateServer, seconds: float) -> str:
    async with user(server, 1) as other:
        began = time.monotonic()
        staying = asyncio.create_task(stay(other, began + seconds + SPARE))
        async with user(server, 2) as peer:
            ending = await peer.ended(seconds + BOUND)
            took = time.monotonic() - began
        expect(ending, (1000, "Connection timeout"), "a silent connection")
        within(took, seconds, "a silent connection")
        await staying
        expect(other.is_open, True, f"a connection that sends pings, after {seconds + SPARE:g} s")
    return f"closed 1000 after {took:.1f} s, not while it sends pings"


async def edit_window(server: PrivateServer) -> str:
    """EDIT_WINDOW, shortened to 3 s."""
    return await edit(server, SHORT_EDITING)


async def whole_edit_window(server: PrivateServer) -> str:
    """EDIT_WINDOW, 5 min."""
    return await edit(server, EDITING)


async def edit(server: PrivateServer, seconds: float) -> str:
    async with user(server, 3) as peer:
        began = time.monotonic()
        message_id = (await send(peer, 4))["messageId"]
        stored = time.monotonic()
        command = {"type": "edit_message", "messageId": message_id, "content": "edited"}
        await stay(peer, began + seconds - BEFORE)
        answer = await peer.ask(**command)
        expect(answer["type"], "message_edited", f"an edit after {seconds - BEFORE:g} s")
        await stay(peer, stored + seconds + AFTER)
        answer = await peer.ask(**command)
        found = answer.get("code", answer["type"])
        expect(found, "EDIT_WINDOW_EXPIRED", f"an edit after {seconds + AFTER:g} s")
    return f"edited after {seconds - BEFORE:g} s, refused after {seconds + AFTER:g} s"


async def keep_alive(server: PrivateServer) -> str:
    """KEEP_ALIVE_TIMEOUT, shortened to 1 s."""
    return await answer_no_ping(server, SHORT_SILENCE)


async def whole_keep_alive(server: PrivateServer) -> str:
    """KEEP_ALIVE_TIMEOUT, 60 s."""
    return await answer_no_ping(server, SILENCE)


async def answer_no_ping(server: PrivateServer, seconds: float) -> str:
    began = time.monotonic()
    async with user(server, 5) as alive, user(server, 6, pongs=False) as dead:
        await until(lambda: alive.pings and dead.pings, seconds + BOUND)
        pinged = time.monotonic() - began
        within(pinged, seconds, "a ping to who is silent")
        code, reason = await dead.ended(seconds + BOUND)
        took = time.monotonic() - began
        if code != 1006:
            raise Edge(f"a client without pongs: found {code} {reason}, expected a cut connection")
        within(took, 2 * seconds, "a client without pongs")
        expect(alive.is_open, True, "a client that answers pings")
    return f"a ping after {pinged:.1f} s of silence; without a pong dropped after {took:.1f} s"
