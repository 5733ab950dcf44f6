"""Edits and deletions: changes of stored messages, each with a ``rev`` of its own.

They go through the lane of their room, many in one statement, and are answered in the order of
``rev``. A removal for oneself is no change of the room and needs neither.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fastchat.errors import ServiceUnavailable
from fastchat.store import change_statements as statements
from fastchat.store.fence import BLOCKS_UNREADABLE, Fence
from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE
from fastchat.store.messages import MessageRef, SealedContent
from fastchat.store.work_queue import WorkQueue

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool
    from fastchat.store.rooms import AnyRoom
    from fastchat.store.writer import MessageWriter

RETRY_BLOCKS = 30.0  # seconds until blocks that could not be read are tried again
MAX_BATCH = 64  # changes in one statement; an edit may hold as much text as a message

log = logging.getLogger(__name__)


class Refusal(Enum):
    """Why a message was not changed; in the order in which the reasons are looked at."""

    NOT_FOUND = "not found"
    NOT_AUTHOR = "not author"
    BLOCKED = "blocked"
    TOO_OLD = "too old"
    NOT_ALLOWED = "not allowed"


@dataclass(frozen=True, slots=True)
class Edited:
    """Committed; ``edited_at`` is epoch seconds, ``group_rev`` that of the room."""

    rev: int
    edited_at: float
    group_rev: int = 0


@dataclass(frozen=True, slots=True)
class Deleted:
    """The message is gone; when it was before (``is_new`` false), nobody else is told."""

    rev: int
    is_new: bool
    group_rev: int = 0


_REFUSALS = {
    statements.NOT_FOUND: Refusal.NOT_FOUND,
    statements.NOT_AUTHOR: Refusal.NOT_AUTHOR,
    statements.BLOCKED: Refusal.BLOCKED,
    statements.TOO_OLD: Refusal.TOO_OLD,
}


class _Change(NamedTuple):
    """One change; ``sealed`` is None for a deletion."""

    ref: MessageRef
    user_id: str
    other_id: str | None  # None in a group
    sealed: SealedContent | None


_Result = Edited | Deleted | Refusal


class Changes:
    """Changes stored messages.

    When the database does not answer, a change may or may not have been made; repeating it is safe.

    Attributes:
        changed: Edits and deletions that were made.
        refused: Edits and deletions that were refused.
        fail_open: Edits that passed because the blocks could not be read.
    """

    def __init__(
        self,
        writer: "MessageWriter",
        pool: "Pool",
        tables: "BackendTables",
        *,
        edit_window: float = 300.0,
        block_check_fail_open: bool = True,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the neighbours, what the tables look like, and the rules.

        Args:
            writer: Whose lanes the changes go through; their deadline is the writer's.
            pool: For removals, which no lane needs to know of.
            tables: What the main backend's tables look like.
            edit_window: Seconds in which a message may be edited.
            block_check_fail_open: Let edits pass when only the blocks cannot be read.
            deadline: Seconds after which a removal is given up.
            clock: Monotonic seconds.
        """
        self._queues: list[WorkQueue[_Change, _Result]] = writer.add_work(
            self._perform, key=_message_of, max_batch=MAX_BATCH
        )
        self._pool = pool
        self._blocks_id_type = tables.blocks_id_type
        self._edit_window = edit_window
        self._fail_open = block_check_fail_open
        self._deadline = deadline
        self._clock = clock
        self._checked = statements.change_statement(tables.blocks_id_type)
        self._unchecked = statements.change_statement(None)
        self._unchecked_until = float("-inf")
        self.changed = 0
        self.refused = 0
        self.fail_open = 0

    async def edit(
        self, room: "AnyRoom", ref: MessageRef, user_id: str, sealed: SealedContent
    ) -> Edited | Refusal:
        """Replace the content of an own message, within the edit window.

        Lets the edit pass when only the blocks cannot be read, as long as
        ``BLOCK_CHECK_FAIL_OPEN`` says so.

        Raises:
            ServiceUnavailable: the edit was not made: its turn did not come in time, or blocks
                could not be read and may not be passed over.
            ValidationError: the database cannot store the content.
        """
        result = await self._change(room, ref, user_id, sealed)
        assert not isinstance(result, Deleted)
        return result

    async def delete_for_everyone(
        self, room: "AnyRoom", ref: MessageRef, user_id: str
    ) -> Deleted | Refusal:
        """Erase an own message, or as an admin any one of the group.

        One that is erased already is answered as if done.

        Raises:
            ServiceUnavailable: the message was not deleted: the turn did not come in time.
        """
        result = await self._change(room, ref, user_id, None)
        assert not isinstance(result, Edited)
        return result

    async def remove_for_user(
        self, room: "AnyRoom", ref: MessageRef, user_id: str
    ) -> Deleted | Refusal:
        """Hide a message from one user; one that he does not see already is answered as if done.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        if not may_be_in(room, ref, user_id):
            return Refusal.NOT_FOUND
        row = await self._pool.fetchrow(
            statements.REMOVE, *ref, user_id, timeout=self._deadline, name="removal"
        )
        return Refusal.NOT_FOUND if row is None else Deleted(*row)

    async def _change(
        self, room: "AnyRoom", ref: MessageRef, user_id: str, sealed: SealedContent | None
    ) -> _Result:
        if not may_be_in(room, ref, user_id):
            return Refusal.NOT_FOUND
        queue = self._queues[room.room_id % len(self._queues)]
        other_id = None if room.is_group else room.other(user_id)
        return await queue.do(_Change(ref, user_id, other_id, sealed))

    async def _perform(
        self, fence: Fence, changes: Sequence[_Change]
    ) -> "Sequence[_Result | Exception] | None":
        """Run many changes as one statement; None: nothing was done."""
        edits = sum(change.sealed is not None for change in changes)
        id_type = self._blocks_id_type
        if edits and id_type is not None and self._clock() >= self._unchecked_until:
            arguments = self._arguments(changes)
            for users in pairs_to_check(changes):
                arguments.append([to_native(user, id_type) for user in users])
            try:
                return self._results(changes, await fence.run(self._checked, arguments))
            except BLOCKS_UNREADABLE as error:
                # Missing or unreadable: the statement would fail the same way each time.
                log.warning("blocks could not be read", extra={"sqlstate": error.sqlstate})
                if not self._fail_open:
                    return await self._perform_deletions(fence, changes)
                self._unchecked_until = self._clock() + RETRY_BLOCKS
        results = self._results(changes, await fence.run(self._unchecked, self._arguments(changes)))
        if results is not None and id_type is not None:
            self.fail_open += edits
        return results

    async def _perform_deletions(
        self, fence: Fence, changes: Sequence[_Change]
    ) -> "Sequence[_Result | Exception] | None":
        """Make the deletions and refuse the edits, for blocks may not be passed over."""
        deletions = [change for change in changes if change.sealed is None]
        deleted = await self._perform(fence, deletions) if deletions else ()
        if deleted is None:
            return None
        done = iter(deleted)
        return [next(done) if change.sealed is None else ServiceUnavailable() for change in changes]

    def _arguments(self, changes: Sequence[_Change]) -> list[Any]:
        sealed = [change.sealed for change in changes]
        return [
            self._edit_window,
            [change.ref.room_id for change in changes],
            [change.ref.seq for change in changes],
            [change.ref.old_id for change in changes],
            [change.user_id for change in changes],
            [content is None for content in sealed],
            [content and content.content for content in sealed],
            [content and content.encrypted_content for content in sealed],
            [content and content.encryption_iv for content in sealed],
            [content and content.encryption_scheme for content in sealed],
            [change.other_id is None for change in changes],
        ]

    def _results(
        self, changes: Sequence[_Change], answer: list[int] | None
    ) -> list[_Result | Exception] | None:
        if answer is None:
            return None
        count = len(changes)
        edited_at = answer[-1] / 1e6
        results: list[_Result | Exception] = []
        if statements.GO_AGAIN in answer[:count]:
            return None
        for change, verdict, rev, group_rev in zip(
            changes,
            answer[:count],
            answer[count : 2 * count],
            answer[2 * count : 3 * count],
            strict=True,
        ):
            refusal = _REFUSALS.get(verdict)
            if refusal is not None:
                self.refused += 1
                results.append(refusal)
                continue
            self.changed += verdict == statements.GO_ON
            if change.sealed is None:
                results.append(Deleted(rev, verdict == statements.GO_ON, group_rev))
            else:
                results.append(Edited(rev, edited_at, group_rev))
        return results


def may_be_in(room: "AnyRoom", ref: MessageRef, user_id: str) -> bool:
    """Whether a message is in a room and the user may be; who is in a group statements decide."""
    return ref.room_id == room.room_id and (room.is_group or room.has_member(user_id))


def _message_of(change: _Change) -> tuple[int, int]:
    return change.ref.room_id, change.ref.seq


class BetweenTwo(Protocol):
    """What one user does to another one's conversation with him; None: it is a group."""

    @property
    def user_id(self) -> str:
        """Who does it."""

    @property
    def other_id(self) -> str | None:
        """The other member."""


def pairs_to_check(changes: Sequence[BetweenTwo]) -> tuple[list[str | None], list[str | None]]:
    """Return who must not block whom, as two columns; in a group blocks change nothing."""
    own = [None if change.other_id is None else change.user_id for change in changes]
    return own, [change.other_id for change in changes]
