"""How far each member of a room has read.

A mark is no change of the room and has no ``rev``: it locks the reader's own row in
``room_members`` and not the room, for the position only grows and nothing else is made of it. Marks
go through the lane of their room all the same, many in one statement: a client that reads marks
message after message.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastchat.store.changes import Refusal, may_be_in
from fastchat.store.messages import MessageRef
from fastchat.store.work_queue import WorkQueue

if TYPE_CHECKING:
    from fastchat.store.fence import Fence
    from fastchat.store.rooms import AnyRoom
    from fastchat.store.writer import MessageWriter

MAX_BATCH = 256  # marks in one statement

# Of the marks of one reader in one room only the highest moves the position. Rows are locked in one
# order, so that two servers do not wait for each other.
MARK = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), given AS MATERIALIZED (
    SELECT g.*, (SELECT true FROM chat_messages m
            WHERE m.room_id = g.room_id AND m.seq = g.seq AND NOT m.is_deleted
              AND m.message_id IS NOT DISTINCT FROM g.old_id LIMIT 1) IS NOT NULL
        AND (SELECT true FROM message_removals x
            WHERE x.user_id = g.user_id AND x.room_id = g.room_id AND x.seq = g.seq LIMIT 1) IS NULL
        AND (SELECT true FROM room_members o
            WHERE o.user_id = g.user_id AND o.room_id = g.room_id AND o.left_at IS NULL LIMIT 1)
            IS NOT NULL
        AS is_there
    FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[])
        WITH ORDINALITY AS g (room_id, seq, old_id, user_id, ord)
), highest AS MATERIALIZED (
    SELECT DISTINCT ON (user_id, room_id) user_id, room_id, seq, ord FROM given
    WHERE is_there AND EXISTS (SELECT FROM fence)
    ORDER BY user_id, room_id, seq DESC, ord
), locked AS MATERIALIZED (
    SELECT h.* FROM highest h, LATERAL (
        SELECT o.user_id FROM room_members o
        WHERE o.user_id = h.user_id AND o.room_id = h.room_id AND o.read_seq < h.seq
        FOR NO KEY UPDATE) o
), moved AS (
    UPDATE room_members o SET read_seq = l.seq, changed_xid = pg_current_xact_id() FROM locked l
    WHERE o.user_id = l.user_id AND o.room_id = l.room_id
      AND o.user_id = ANY ($6::text[]) AND o.room_id = ANY ($3::bigint[])
    RETURNING l.ord
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(CASE WHEN m.ord IS NOT NULL THEN 1 WHEN g.is_there THEN 0 ELSE -1 END::bigint
        ORDER BY g.ord)
    FROM given g LEFT JOIN moved m USING (ord))
FROM fence WHERE lane_commits.lane_id = fence.lane_id
RETURNING lane_commits.answer
"""
_NOT_FOUND = -1


class Marked(NamedTuple):
    """The position is at this ``seq`` or beyond; ``moved`` when this mark brought it there."""

    moved: bool
    seq: int


class _Mark(NamedTuple):
    ref: MessageRef
    user_id: str


class ReadMarks:
    """Moves the read positions of users.

    Attributes:
        marks: Marks that were looked at.
        moved: Marks that moved a position.
    """

    def __init__(self, writer: "MessageWriter") -> None:
        """Take the writer whose lanes the marks go through; their deadline is the writer's."""
        self._queues: list[WorkQueue[_Mark, Marked | Refusal]] = writer.add_work(
            self._perform, max_batch=MAX_BATCH
        )
        self.marks = 0
        self.moved = 0

    async def mark(self, room: "AnyRoom", ref: MessageRef, user_id: str) -> Marked | Refusal:
        """Mark a message and all before it as read.

        Raises:
            ServiceUnavailable: nothing was marked: the turn did not come in time.
        """
        if not may_be_in(room, ref, user_id):
            return Refusal.NOT_FOUND
        return await self._queues[room.room_id % len(self._queues)].do(_Mark(ref, user_id))

    async def _perform(
        self, fence: "Fence", marks: Sequence[_Mark]
    ) -> Sequence[Marked | Refusal | Exception] | None:
        """Run many marks as one statement; None: nothing was done."""
        answer = await fence.run(
            MARK,
            (
                [mark.ref.room_id for mark in marks],
                [mark.ref.seq for mark in marks],
                [mark.ref.old_id for mark in marks],
                [mark.user_id for mark in marks],
            ),
        )
        if answer is None:
            return None
        self.marks += len(marks)
        self.moved += answer.count(1)
        return [
            Refusal.NOT_FOUND if found == _NOT_FOUND else Marked(found == 1, mark.ref.seq)
            for mark, found in zip(marks, answer, strict=True)
        ]
