"""The adoption as a whole: its steps, each of which goes on where it was left.

What is done and how far is in ``fastchat_adoption.state``, written in the transaction that did it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from fastchat.store import migrations
from fastchat.store.adoption import BEFORE, NEXT, WORK, AdoptionError, workplace
from fastchat.store.adoption.comparing import Compared, Comparer, Difference
from fastchat.store.adoption.conflicts import refuse_conflicts
from fastchat.store.adoption.messages import Messages
from fastchat.store.adoption.old_tables import OldTables, find, quoted
from fastchat.store.adoption.others import Others
from fastchat.store.adoption.state import (
    get_state,
    load_tables,
    own_tables,
    patiently,
    set_state,
    tables_as_json,
    take_lock,
)
from fastchat.store.cipher import Cipher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncpg import Connection

SLICE = 20_000  # messages in one transaction
KEYS = 2000  # keys of changed rows in one transaction
ROOMS = 5000  # rooms whose positions are found in one transaction
PASSES = 20  # over what the previous server writes meanwhile, before the last one

# Rooms before messages, messages before what refers to them.
KINDS = ("users", "groups", "conversations", "messages")
DEPENDENT_KINDS = ("reactions", "message_removals", "conversation_removals", "events")

_SESSION = """
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET synchronous_commit = off;
SET work_mem = '128MB';
SET temp_buffers = '64MB';
SET maintenance_work_mem = '512MB';
SET jit = off;
SET random_page_cost = 1.1;
SET plan_cache_mode = force_custom_plan;
"""
_CLEAR = "TRUNCATE keys, touched, moves, slice"
_TAKE = f"""
SELECT change_id, key FROM {WORK}.changes WHERE kind = $1 AND change_id <= $2
ORDER BY change_id LIMIT $3
"""
OLD_ID_INDEX = "chat_messages_old_id"

Tell = Callable[[str, int, int], None]


class Result(NamedTuple):
    """What was compared: messages of both sides with one digest, and the other tables."""

    old_messages: int
    new_messages: int
    left_out: int
    digest: int
    compared: int
    compared_last: int
    kept_plaintext: int
    unreadable: int
    others: list[Compared]


class Adoption:
    """Copies the tables of the previous server.

    Attributes:
        tables: What is copied; known once it has begun.
    """

    def __init__(
        self,
        connection: "Connection",
        cipher: Cipher,
        tell: Tell,
        *,
        given: "Mapping[str, str] | None" = None,
        slice_size: int = SLICE,
        pause: float = 0.0,
    ) -> None:
        """Take the neighbours.

        Args:
            connection: Of a role that owns the old tables; used by nobody else meanwhile.
            cipher: Opens what the previous server sealed, and seals events.
            tell: Called with a step, how much of it is done, and of how much (0: not known).
            given: See ``old_tables.find``.
            slice_size: Messages in one transaction.
            pause: Seconds between two transactions, to leave room for others.
        """
        self.connection = connection
        self.tables: OldTables
        self._cipher = cipher
        self._tell = tell
        self._given = given
        self._slice_size = slice_size
        self._pause = pause
        self.messages: Messages
        self.others: Others
        self.comparer: Comparer

    async def copy(self) -> int:
        """Copy everything, catch up with what was written meanwhile, and compare.

        May be ended at any moment and called again.

        Returns:
            How many changes were noted since, and wait to be copied.

        Raises:
            AdoptionError: the tables cannot be taken over; nothing was written then.
            Difference: the copy is not what it was copied from.
        """
        await self.begin()
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("triggers", self._make_triggers),
            ("rooms", self._copy_rooms),
            ("places", self._gather_places),
            ("order", self._sort_places),
            ("messages", self._copy_messages),
            ("index", self._make_index),
            ("others", self._copy_others),
            ("positions", self._find_positions),
            ("statistics", self._analyze),
        ]
        for name, step in steps:
            if not await self._get(f"{name} done"):
                await step()
                await self._set(f"{name} done", True)
        await self.catch_up()
        try:
            await self._compare()
            await self._compare_changed()
        except Difference as error:
            await self.note_again(error.ids)
            raise
        return await self.catch_up()

    async def note_again(self, message_ids: list[str]) -> None:
        """Note messages that are not what they should be, so that they are copied once more."""
        await self.connection.execute(
            f"INSERT INTO {WORK}.changes (kind, key) SELECT 'messages', unnest($1::text[])",
            message_ids,
        )

    async def begin(self) -> None:
        """Take the lock, and make the place to work in where there is none yet.

        Raises:
            AdoptionError: see ``copy``.
        """
        await take_lock(self.connection)
        await self.connection.execute(_SESSION)
        is_there = await self.connection.fetchval(
            "SELECT to_regclass($1) IS NOT NULL", f"{WORK}.state"
        )
        if is_there:
            self.tables = await load_tables(self.connection)
            # Times without a zone have to mean the same each time.
            await self.connection.execute(
                "SELECT set_config('TimeZone', $1, false)", await self._get("time zone")
            )
            if await self._get("places changed"):
                raise AdoptionError("the tables were taken over already: nothing is left to do")
        else:
            self.tables = await find(self.connection, self._given)
            self.tables.messages  # noqa: B018  it says when there are none
            if self.tables.problems:
                raise AdoptionError("; ".join(self.tables.problems))
            await refuse_conflicts(self.connection, self.tables)
            await self._make_place()
        await workplace.make_temporary_tables(self.connection)
        self.messages = Messages(self.connection, self.tables, self._cipher)
        self.others = Others(self.connection, self.tables, self._cipher)
        self.comparer = Comparer(self.connection, self.tables)

    async def catch_up(self) -> int:
        """Copy what was written meanwhile, until little is left; return how much."""
        left = await self._count_changes()
        for _ in range(PASSES):
            if not left:
                break
            await self.drain((*KINDS, *DEPENDENT_KINDS))
            left = await self._count_changes()
            if left < KEYS:
                break
        return left

    async def drain(self, kinds: tuple[str, ...], *, is_told: bool = True) -> None:
        """Copy again what is noted now; what is noted meanwhile stays for the next time."""
        total = await self._count_changes()
        done = 0
        has_positions = await self._get("positions done")
        for kind in kinds:
            # What copying notes itself, such as the reactions to a new message, comes later.
            end = await self.connection.fetchval(
                f"SELECT coalesce(max(change_id), 0) FROM {WORK}.changes WHERE kind = $1", kind
            )
            while count := await self._drain_some(kind, end, has_positions=bool(has_positions)):
                done += count
                if is_told:
                    self._tell("changes", done, max(done, total))
                    await asyncio.sleep(self._pause)

    async def result(self, others: list[Compared]) -> Result:
        """Return what there is to say in the end.

        Raises:
            Difference: the counts do not fit together.
        """
        old, new, left_out = await self.comparer.count()
        totals = await self._get("compared") or [0, 0, 0]
        last = await self.comparer.changed()
        await self.comparer.order_of_changed()
        again: int = await self._get("compared again") or 0
        kept, unreadable = [
            await self.connection.fetchval(f"SELECT count(*) FROM {WORK}.{table}")
            for table in ("kept", "unreadable")
        ]
        return Result(
            old, new, left_out, totals[1], totals[0], again + last[0], kept, unreadable, others
        )

    async def _make_place(self) -> None:
        run = self.connection.execute
        for schema in (NEXT, BEFORE):
            if await self.connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace($1))",
                schema,
            ):
                raise AdoptionError(
                    f"the schema {schema} is there already: expected none, or empty"
                )
        path = await self.connection.fetchval("SELECT current_setting('search_path')")
        async with self.connection.transaction():
            await run(f"DROP SCHEMA IF EXISTS {WORK}, {NEXT} CASCADE")
            await run(f"CREATE SCHEMA {WORK}")
            await run(f"CREATE SCHEMA {NEXT}")
            await workplace.make_views(self.connection, self.tables)
            await workplace.make_tables(self.connection)
            await self._set("tables", tables_as_json(self.tables))
            zone = await self.connection.fetchval("SELECT current_setting('TimeZone')")
            await self._set("time zone", zone)
            await run(f"SET LOCAL search_path = {NEXT}")
            await migrations.migrate(self.connection)
            # Made again once all messages are there, which costs a fraction.
            definition = await self.connection.fetchval(
                "SELECT pg_get_indexdef(to_regclass($1))", f"{NEXT}.{OLD_ID_INDEX}"
            )
            await self._set("index", definition)
            await run(f"DROP INDEX {NEXT}.{OLD_ID_INDEX}")
            await run("SELECT set_config('search_path', $1, true)", path)

    async def _make_triggers(self) -> None:
        for table in self.tables.tables.values():
            make = partial(workplace.make_trigger, self.connection, table)
            await patiently(self.connection, make)

    async def _copy_rooms(self) -> None:
        await self._note_all(("users", "groups", "conversations"))
        await self.drain(("users", "groups", "conversations"))

    async def _gather_places(self) -> None:
        after, done = await self._get("places") or (None, 0)
        total = await self._estimate(self.tables.messages.name)
        while True:
            async with self._moment():
                found, last = await self.messages.place(after, self._slice_size)
                done += found
                await self._set("places", [last, done])
            self._tell("order", done, max(done, total))
            if found < self._slice_size:
                break
            after = last
            await asyncio.sleep(self._pause)
        await self._set("placed", done)

    async def _sort_places(self) -> None:
        await self.messages.sort()

    async def _copy_messages(self) -> None:
        after, done = await self._get("copied") or (None, 0)
        total = await self._get("placed")
        while True:
            async with self._moment():
                found, last = await self.messages.copy(after, self._slice_size)
                done += found
                await self._set("copied", [last, done])
            self._tell("messages", done, max(done, total))
            if last is None:
                break
            after = last
            await asyncio.sleep(self._pause)

    async def _make_index(self) -> None:
        if await self.connection.fetchval(
            "SELECT to_regclass($1) IS NULL", f"{NEXT}.{OLD_ID_INDEX}"
        ):
            await self.connection.execute(await self._get("index"))
        await self.connection.execute(f"ANALYZE {NEXT}.chat_messages")

    async def _copy_others(self) -> None:
        await self._note_all(DEPENDENT_KINDS)
        await self.drain((*KINDS, *DEPENDENT_KINDS))

    async def _find_positions(self) -> None:
        first = await self._get("positions") or 0
        last = await self._last_room()
        while first <= last:
            end = first + ROOMS - 1
            async with self.connection.transaction():
                await self.connection.execute(_CLEAR)
                await self.connection.execute(
                    f"INSERT INTO touched (room_id) SELECT room_id FROM {NEXT}.chat_rooms "
                    "WHERE room_id BETWEEN $1 AND $2",
                    first,
                    end,
                )
                await self.others.find_positions()
                await self._set("positions", end + 1)
            self._tell("positions", min(end, last), last)
            first = end + 1
            await asyncio.sleep(self._pause)

    async def _analyze(self) -> None:
        tables = await own_tables(self.connection, NEXT)
        names = ", ".join(f"{NEXT}.{quoted(table)}" for table in tables)
        await self.connection.execute(f"ANALYZE {names}")
        # So that its pages need no second look, and the first queries are not the ones to take it.
        await self.connection.execute(f"VACUUM {NEXT}.chat_messages")

    async def _compare(self) -> None:
        """Compare all messages once; those that are copied again afterwards come at the end."""
        if await self._get("compared done"):
            return
        after, totals = await self._get("compared at") or (None, [0, 0, 0])
        if after is None:
            await self.connection.execute(f"TRUNCATE {WORK}.uncompared, {WORK}.unchecked")
        expected = await self._get("placed")
        while True:
            found, last = await self.comparer.slice(after, self._slice_size)
            totals = [one + other for one, other in zip(totals, found, strict=True)]
            if last is None:
                break
            after = last
            await self._set("compared at", [after, totals])
            self._tell("comparison", totals[0], max(totals[0], expected))
            await asyncio.sleep(self._pause)
        last_room = await self._last_room()
        for first in range(0, last_room + 1, ROOMS):
            await self.comparer.order(first, first + ROOMS - 1)
            self._tell("order of rooms", min(first + ROOMS, last_room), last_room)
        await self._set("compared", totals)
        await self._set("compared done", True)

    async def _compare_changed(self) -> None:
        """Compare what was copied again since, so that little is left for the end."""
        async with self._moment():
            found = await self.comparer.changed()
            await self.comparer.order_of_changed()
            await self.connection.execute(f"TRUNCATE {WORK}.uncompared, {WORK}.unchecked")
            await self._set("compared again", (await self._get("compared again") or 0) + found[0])

    async def _note_all(self, kinds: tuple[str, ...]) -> None:
        """Note all keys of some tables, so that they are copied as if they had changed."""
        for kind in kinds:
            async with self.connection.transaction():
                if self.tables.get(kind) is None or await self._get(f"{kind} noted"):
                    continue
                order = "min(created_at), id" if kind == "events" else "id"
                await self.connection.execute(
                    f"INSERT INTO {WORK}.changes (kind, key) SELECT '{kind}', id "
                    f"FROM {WORK}.old_{kind} WHERE id IS NOT NULL GROUP BY id ORDER BY {order}"
                )
                await self._set(f"{kind} noted", True)
        await self.connection.execute(f"ANALYZE {WORK}.changes")

    async def _drain_some(self, kind: str, end: int, *, has_positions: bool) -> int:
        async with self._moment():
            rows = await self.connection.fetch(_TAKE, kind, end, KEYS)
            if not rows:
                return 0
            await self.connection.execute(_CLEAR)
            keys = sorted({row[1] for row in rows})
            if kind == "events":
                keys = list(dict.fromkeys(row[1] for row in rows))
            await self.connection.execute("INSERT INTO keys SELECT unnest($1::text[])", keys)
            if kind == "messages":
                await self.messages.copy_again()
            else:
                await self.others.copy_again(kind)
            if has_positions:
                await self.others.find_positions()
            await self.connection.execute(
                f"DELETE FROM {WORK}.changes WHERE change_id = ANY ($1::bigint[])",
                [row[0] for row in rows],
            )
            return len(rows)

    def _moment(self) -> Any:
        """Return a transaction that sees the old tables as they are at its start, to its end.

        Under the lock that is so anyway, and there is a transaction already.
        """
        if self.connection.is_in_transaction():
            return self.connection.transaction()
        return self.connection.transaction(isolation="repeatable_read")

    async def _count_changes(self) -> int:
        found: int = await self.connection.fetchval(f"SELECT count(*) FROM {WORK}.changes")
        return found

    async def _last_room(self) -> int:
        found: int = await self.connection.fetchval(
            f"SELECT coalesce(max(room_id), 0) FROM {NEXT}.chat_rooms"
        )
        return found

    async def _estimate(self, table: str) -> int:
        found: float = await self.connection.fetchval(
            "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = to_regclass($1)", table
        )
        return int(found)

    async def _get(self, name: str) -> Any:
        return await get_state(self.connection, name)

    async def _set(self, name: str, value: Any) -> None:
        await set_state(self.connection, name, value)
