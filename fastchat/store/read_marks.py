"""How far each member of a room has read.

A mark is no change of the room and has no ``rev``: it locks rows in ``room_members`` and not the
room, for the position only grows and nothing else is made of it. In a conversation of two the other
member's row is stamped as well: he is told how far his messages were read. Marks go through the
lane of their room all the same, many in one statement: a client that reads marks message after
message.
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
# order, so that two servers do not wait for each other. All of them exist: as a conflict each is
# found by its key, whereas an update is a join, which some plans make of all pairs.
MARK = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), given AS MATERIALIZED (
    SELECT g.*, (SELECT o.read_seq FROM room_members o
            WHERE o.user_id = g.user_id AND o.room_id = g.room_id AND o.left_at IS NULL LIMIT 1
        ) AS read_seq,
        (SELECT true FROM chat_messages m
            WHERE m.room_id = g.room_id AND m.seq = g.seq AND NOT m.is_deleted
              AND m.message_id IS NOT DISTINCT FROM g.old_id LIMIT 1) IS NOT NULL
        AND (SELECT true FROM message_removals x
            WHERE x.user_id = g.user_id AND x.room_id = g.room_id AND x.seq = g.seq LIMIT 1) IS NULL
        AS is_visible
    FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])
        WITH ORDINALITY AS g (room_id, seq, old_id, user_id, other_id, ord)
), highest AS MATERIALIZED (
    SELECT DISTINCT ON (user_id, room_id) user_id, room_id, seq, other_id, ord FROM given
    WHERE is_visible AND read_seq < seq AND EXISTS (SELECT FROM fence)
    ORDER BY user_id, room_id, seq DESC, ord
), moved AS (
    INSERT INTO room_members AS o (user_id, room_id, read_seq)
    SELECT user_id, room_id, max(seq) FROM (
        SELECT user_id, room_id, seq FROM highest
        UNION ALL SELECT other_id, room_id, 0 FROM highest WHERE other_id IS NOT NULL
    ) rows GROUP BY user_id, room_id ORDER BY user_id COLLATE "C", room_id
    ON CONFLICT (user_id, room_id) DO UPDATE
    SET read_seq = greatest(o.read_seq, excluded.read_seq), changed_xid = excluded.changed_xid
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(CASE
            WHEN h.ord IS NOT NULL THEN 1
            WHEN g.is_visible AND g.read_seq IS NOT NULL THEN 0
            ELSE -1 END::bigint
        ORDER BY g.ord)
    FROM given g LEFT JOIN highest h USING (ord))
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
    other_id: str | None  # None in a group


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
        mark = _Mark(ref, user_id, None if room.is_group else room.other(user_id))
        return await self._queues[room.room_id % len(self._queues)].do(mark)

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
                [mark.other_id for mark in marks],
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
