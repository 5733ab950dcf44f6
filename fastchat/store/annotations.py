"""Reactions and pins: changes of a message that leave its text alone.

Like edits they go through the lane of their room, many in one statement, and are answered in the
order of ``rev``. One user has one reaction to a message: another one replaces it, the same one
again takes it back.
"""

import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.store import annotation_statements as statements
from fastchat.store.changes import RETRY_BLOCKS, Refusal, may_be_in, pairs_to_check
from fastchat.store.fence import BLOCKS_UNREADABLE, Fence
from fastchat.store.ids import to_native
from fastchat.store.messages import MessageRef
from fastchat.store.work_queue import WorkQueue

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.rooms import AnyRoom
    from fastchat.store.writer import MessageWriter

MAX_BATCH = 128  # changes in one statement

log = logging.getLogger(__name__)


class Kind(Enum):
    """What is done to a message."""

    REACT = statements.REACT
    UNREACT = statements.UNREACT
    PIN = statements.PIN
    UNPIN = statements.UNPIN


class Annotated(NamedTuple):
    """Committed, at this ``rev``.

    ``is_new`` is false for what was so already, and nobody else is told. ``taken_back``: the same
    reaction was there, and is gone now. ``group_rev`` is that of the room.
    """

    rev: int
    is_new: bool = True
    taken_back: bool = False
    group_rev: int = 0


class _Annotation(NamedTuple):
    kind: Kind
    ref: MessageRef
    user_id: str
    other_id: str | None  # None in a group
    reaction: str | None


_Result = Annotated | Refusal


class Annotations:
    """Reacts to messages and pins them.

    Attributes:
        changed: Annotations that were made.
        refused: Annotations that were refused.
        fail_open: Annotations that passed because the blocks could not be read.
    """

    def __init__(
        self,
        writer: "MessageWriter",
        tables: "BackendTables",
        *,
        block_check_fail_open: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the writer whose lanes they go through, and the rule for unreadable blocks."""
        self._queues: list[WorkQueue[_Annotation, _Result]] = writer.add_work(
            self._perform, key=_message_of, max_batch=MAX_BATCH
        )
        self._blocks_id_type = tables.blocks_id_type
        self._fail_open = block_check_fail_open
        self._clock = clock
        self._checked = statements.annotation_statement(tables.blocks_id_type)
        self._unchecked = statements.annotation_statement(None)
        self._unchecked_until = float("-inf")
        self.changed = 0
        self.refused = 0
        self.fail_open = 0

    async def annotate(
        self,
        kind: Kind,
        room: "AnyRoom",
        ref: MessageRef,
        user_id: str,
        reaction: str | None = None,
    ) -> Annotated | Refusal:
        """Do one of the four; ``reaction`` belongs to ``REACT``.

        Raises:
            ServiceUnavailable: nothing was done: the turn did not come in time, or blocks could
                not be read and may not be passed over.
        """
        if not may_be_in(room, ref, user_id):
            return Refusal.NOT_FOUND
        queue = self._queues[room.room_id % len(self._queues)]
        other_id = None if room.is_group else room.other(user_id)
        return await queue.do(_Annotation(kind, ref, user_id, other_id, reaction))

    async def _perform(
        self, fence: Fence, wanted: Sequence[_Annotation]
    ) -> "Sequence[_Result | Exception] | None":
        """Run many as one statement; None: nothing was done."""
        id_type = self._blocks_id_type
        if id_type is not None and self._clock() >= self._unchecked_until:
            arguments = _arguments(wanted)
            for users in pairs_to_check(wanted):
                arguments.append([to_native(user, id_type) for user in users])
            try:
                return self._results(wanted, await fence.run(self._checked, arguments))
            except BLOCKS_UNREADABLE as error:
                if not self._fail_open:
                    return [ServiceUnavailable() for _ in wanted]
                log.warning("blocks could not be read", extra={"sqlstate": error.sqlstate})
                self._unchecked_until = self._clock() + RETRY_BLOCKS
        results = self._results(wanted, await fence.run(self._unchecked, _arguments(wanted)))
        if results is not None and id_type is not None:
            self.fail_open += len(wanted)
        return results

    def _results(
        self, wanted: Sequence[_Annotation], answer: list[int] | None
    ) -> "list[_Result | Exception] | None":
        if answer is None:
            return None
        count = len(wanted)
        if statements.GO_AGAIN in answer[:count]:
            return None
        results: list[_Result | Exception] = []
        for verdict, rev, group_rev in zip(
            answer[:count], answer[count : 2 * count], answer[2 * count :], strict=True
        ):
            if verdict in _REFUSALS:
                self.refused += 1
                results.append(_REFUSALS[verdict])
                continue
            is_new = verdict != statements.IS_SO_ALREADY
            self.changed += is_new
            results.append(Annotated(rev, is_new, verdict == statements.TAKEN_BACK, group_rev))
        return results


_REFUSALS = {
    statements.NOT_FOUND: Refusal.NOT_FOUND,
    statements.BLOCKED: Refusal.BLOCKED,
    statements.NOT_ALLOWED: Refusal.NOT_ALLOWED,
}


def _arguments(wanted: Sequence[_Annotation]) -> list[Any]:
    return [
        [one.ref.room_id for one in wanted],
        [one.ref.seq for one in wanted],
        [one.ref.old_id for one in wanted],
        [one.user_id for one in wanted],
        [one.kind.value for one in wanted],
        [one.reaction for one in wanted],
        [one.other_id is None for one in wanted],
    ]


def _message_of(annotation: _Annotation) -> tuple[int, int]:
    return annotation.ref.room_id, annotation.ref.seq
