"""Edits and deletions: each one statement that locks the room first.

The room's lock makes the order of changes the order of ``rev``. Waiting for it does not refresh the
rest of the snapshot, so the message is locked next: that reads its newest version, and the verdict
is made of it. ``rev`` advances only when something changes.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from asyncpg.exceptions import SyntaxOrAccessError

from fastchat.errors import ServiceUnavailable
from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE
from fastchat.store.messages import MessageRef, SealedContent

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool
    from fastchat.store.rooms import Room

RETRY_BLOCKS = 30.0  # seconds until blocks that could not be read are tried again

log = logging.getLogger(__name__)


class Refusal(Enum):
    """Why a message was not changed; in the order in which the reasons are looked at."""

    NOT_FOUND = "not found"
    NOT_AUTHOR = "not author"
    BLOCKED = "blocked"
    TOO_OLD = "too old"


@dataclass(frozen=True, slots=True)
class Edited:
    """Committed; ``edited_at`` is epoch seconds."""

    rev: int
    edited_at: float


@dataclass(frozen=True, slots=True)
class Deleted:
    """The message is gone; when it was before (``is_new`` false), nobody else is told."""

    rev: int
    is_new: bool


# The verdicts are those of Refusal, 1 to 4; 0: go on; 5: it is so already.
_LOCKED = """
WITH room AS MATERIALIZED (
    SELECT room_id, rev FROM chat_rooms WHERE room_id = $1 FOR NO KEY UPDATE
), target AS MATERIALIZED (
    SELECT m.room_id, m.seq, m.sender_id = $4 AS is_author, m.is_deleted, m.created_at,
        room.rev AS room_rev,
        EXISTS (SELECT FROM message_removals x
            WHERE x.user_id = $4 AND x.room_id = $1 AND x.seq = $2) AS is_removed
    FROM room JOIN chat_messages m ON m.room_id = room.room_id
    WHERE m.seq = $2 AND m.message_id IS NOT DISTINCT FROM $3
    FOR NO KEY UPDATE OF m
), judged AS MATERIALIZED (
    SELECT target.*, {verdict} AS verdict FROM target
)"""

_ADVANCED = """, advanced AS (
    UPDATE chat_rooms r SET rev = r.rev + 1
    FROM judged j WHERE r.room_id = j.room_id AND j.verdict = 0
    RETURNING r.rev
)"""

EDIT = (
    _LOCKED
    + _ADVANCED
    + """, changed AS (
    UPDATE chat_messages m
    SET content = $5, encrypted_content = $6, encryption_iv = $7, encryption_scheme = $8,
        is_encrypted = $5::text IS NULL, edited_at = now(), updated_at = now(),
        changed_rev = a.rev
    FROM advanced a WHERE m.room_id = $1 AND m.seq = $2
    RETURNING a.rev, date_part('epoch', m.edited_at) AS edited_at
)
SELECT j.verdict, c.rev, c.edited_at FROM judged j LEFT JOIN changed c ON true
"""
)
_EDIT_VERDICT = """CASE
        WHEN target.is_deleted OR target.is_removed THEN 1
        WHEN NOT target.is_author THEN 2
        WHEN {is_blocked} THEN 3
        WHEN target.created_at <= now() - make_interval(secs => $9) THEN 4
        ELSE 0 END"""

DELETE = (
    _LOCKED.format(
        verdict="""CASE
        WHEN target.is_deleted AND target.is_author THEN 5
        WHEN target.is_deleted OR target.is_removed THEN 1
        WHEN NOT target.is_author THEN 2
        ELSE 0 END"""
    )
    + _ADVANCED
    + """, changed AS (
    UPDATE chat_messages m
    SET content = NULL, encrypted_content = NULL, encryption_iv = NULL, encryption_scheme = NULL,
        is_deleted = true, updated_at = now(), changed_rev = a.rev
    FROM advanced a WHERE m.room_id = $1 AND m.seq = $2
    RETURNING a.rev
)
SELECT j.verdict, coalesce(c.rev, j.room_rev) FROM judged j LEFT JOIN changed c ON true
"""
)

REMOVE = (
    _LOCKED.format(verdict="CASE WHEN target.is_deleted OR target.is_removed THEN 5 ELSE 0 END")
    + """, removed AS (
    INSERT INTO message_removals (user_id, room_id, seq)
    SELECT $4, j.room_id, j.seq FROM judged j WHERE j.verdict = 0
    ON CONFLICT (user_id, room_id, seq) DO NOTHING
    RETURNING seq
)
SELECT CASE WHEN j.verdict = 0 AND x.seq IS NULL THEN 5 ELSE j.verdict END, j.room_rev
FROM judged j LEFT JOIN removed x ON true
"""
)

_REFUSALS = {
    1: Refusal.NOT_FOUND,
    2: Refusal.NOT_AUTHOR,
    3: Refusal.BLOCKED,
    4: Refusal.TOO_OLD,
}
_ALREADY = 5


class Changes:
    """Changes stored messages, for one user at a time.

    When the database does not answer, a change may or may not have been made; repeating it is safe.

    Attributes:
        fail_open: Edits that passed because the blocks could not be read.
    """

    def __init__(
        self,
        pool: "Pool",
        tables: "BackendTables",
        *,
        edit_window: float = 300.0,
        block_check_fail_open: bool = True,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the pool, what the tables look like, seconds to edit and the rule for blocks."""
        self._pool = pool
        self._blocks_id_type = tables.blocks_id_type
        self._edit_window = edit_window
        self._fail_open = block_check_fail_open
        self._deadline = deadline
        self._clock = clock
        self._checked_edit = edit_statement(tables.blocks_id_type)
        self._unchecked_edit = edit_statement(None)
        self._unchecked_until = float("-inf")
        self.fail_open = 0

    async def edit(
        self, room: "Room", ref: MessageRef, user_id: str, sealed: SealedContent
    ) -> Edited | Refusal:
        """Replace the content of an own message, within the edit window.

        Lets the edit pass when only the blocks cannot be read, as long as
        ``BLOCK_CHECK_FAIL_OPEN`` says so.

        Raises:
            ServiceUnavailable: the database did not answer, or blocks could not be read and may
                not be passed over.
        """
        if not _belongs(room, ref, user_id):
            return Refusal.NOT_FOUND
        arguments = [
            *(*ref, user_id),
            *(sealed.content, sealed.encrypted_content),
            *(sealed.encryption_iv, sealed.encryption_scheme),
            self._edit_window,
        ]
        row = await self._run_edit(arguments, user_id, room.other(user_id))
        if row is None:
            return Refusal.NOT_FOUND
        verdict, rev, edited_at = row
        return _REFUSALS.get(verdict) or Edited(rev, edited_at)

    async def delete_for_everyone(
        self, room: "Room", ref: MessageRef, user_id: str
    ) -> Deleted | Refusal:
        """Erase an own message; one's own that is erased already is answered as if done.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self._delete(DELETE, room, ref, user_id)

    async def remove_for_user(
        self, room: "Room", ref: MessageRef, user_id: str
    ) -> Deleted | Refusal:
        """Hide a message from one user; one that he does not see already is answered as if done.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self._delete(REMOVE, room, ref, user_id)

    async def _delete(
        self, statement: str, room: "Room", ref: MessageRef, user_id: str
    ) -> Deleted | Refusal:
        if not _belongs(room, ref, user_id):
            return Refusal.NOT_FOUND
        row = await self._pool.fetchrow(
            statement, *ref, user_id, timeout=self._deadline, name="change"
        )
        if row is None:
            return Refusal.NOT_FOUND
        verdict, rev = row
        return _REFUSALS.get(verdict) or Deleted(rev, is_new=verdict != _ALREADY)

    async def _run_edit(self, arguments: list[Any], user_id: str, other_id: str) -> Any:
        id_type = self._blocks_id_type
        if id_type is not None and self._clock() >= self._unchecked_until:
            try:
                return await self._pool.fetchrow(
                    self._checked_edit,
                    *arguments,
                    to_native(user_id, id_type),
                    to_native(other_id, id_type),
                    timeout=self._deadline,
                    name="change",
                )
            except SyntaxOrAccessError as error:
                # Missing or unreadable: the statement would fail the same way each time.
                log.warning("blocks could not be read", extra={"sqlstate": error.sqlstate})
                if not self._fail_open:
                    raise ServiceUnavailable from None
                self._unchecked_until = self._clock() + RETRY_BLOCKS
        self.fail_open += id_type is not None
        return await self._pool.fetchrow(
            self._unchecked_edit, *arguments, timeout=self._deadline, name="change"
        )


def _belongs(room: "Room", ref: MessageRef, user_id: str) -> bool:
    return ref.room_id == room.room_id and room.has_member(user_id)


def edit_statement(blocks_id_type: str | None) -> str:
    """Return the statement for an edit, with the look at blocks where there is such a table."""
    is_blocked = "false"
    if blocks_id_type is not None:
        one, other = f"$10::{blocks_id_type}", f"$11::{blocks_id_type}"
        is_blocked = (
            "EXISTS (SELECT FROM blocked_relationships b "
            f"WHERE b.blocker_id = {one} AND b.blocked_id = {other}) "
            "OR EXISTS (SELECT FROM blocked_relationships b "
            f"WHERE b.blocker_id = {other} AND b.blocked_id = {one})"
        )
    return EDIT.format(verdict=_EDIT_VERDICT.format(is_blocked=is_blocked))
