"""Groups: made, changed and listed.

Who is in a group is also asked of ``memberships``; here it is changed.
"""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from fastchat.store import group_statements as statements
from fastchat.store.conversation_list import UNREAD_AFTER, UNREAD_COUNT
from fastchat.store.fence import Fence
from fastchat.store.lookups import DEADLINE
from fastchat.store.rooms import Group
from fastchat.store.work_queue import WorkQueue

if TYPE_CHECKING:
    from fastchat.store.pool import Pool
    from fastchat.store.writer import MessageWriter

MOST_GROUPS = 1000  # in one list

_COLUMNS = """g.group_id, g.group_name, g.group_description, g.created_by, g.max_members,
    (SELECT count(*) FROM group_participants c WHERE c.room_id = g.room_id),
    date_part('epoch', g.created_at)"""
INFO = f"""
SELECT r.group_rev, {_COLUMNS}
FROM chat_groups g JOIN chat_rooms r ON r.room_id = g.room_id
WHERE g.room_id = $1 AND g.deleted_at IS NULL
"""
_HIDDEN = """coalesce((SELECT h.hidden_seq FROM conversation_removals h
    WHERE h.user_id = o.user_id AND h.room_id = o.room_id LIMIT 1), 0)"""
OF_USER = f"""
SELECT {_COLUMNS}, p.role, date_part('epoch', p.joined_at), {
    UNREAD_COUNT.format(room="o.room_id", user="o.user_id", after="own.unread_after")
}
FROM room_members o CROSS JOIN LATERAL (
    SELECT g.* FROM chat_groups g
    WHERE g.room_id = o.room_id AND g.deleted_at IS NULL LIMIT 1
) g CROSS JOIN LATERAL (
    SELECT p.role, p.joined_at FROM group_participants p
    WHERE p.room_id = o.room_id AND p.user_id = o.user_id LIMIT 1
) p CROSS JOIN LATERAL (
    SELECT r.seq, r.last_at FROM chat_rooms r WHERE r.room_id = o.room_id LIMIT 1
) r CROSS JOIN LATERAL (
    SELECT {UNREAD_AFTER.format(read_seq="o.read_seq", hidden_seq=_HIDDEN, seq="r.seq")}
        AS unread_after
) own
WHERE o.user_id = $1 AND o.left_at IS NULL
ORDER BY r.last_at DESC, o.room_id DESC LIMIT {MOST_GROUPS}
"""


class Kind(Enum):
    """What is done to a group or to one of its members."""

    ADD = statements.ADD
    REMOVE = statements.REMOVE
    LEAVE = statements.LEAVE
    TRANSFER = statements.TRANSFER
    PROMOTE = statements.PROMOTE
    DEMOTE = statements.DEMOTE
    PERMIT = statements.PERMIT
    UPDATE = statements.UPDATE
    DELETE = statements.DELETE


class GroupRefusal(Enum):
    """Why a group was not changed."""

    NOT_FOUND = statements.NOT_FOUND  # the group, for one who is not in it; or the member
    NOT_ALLOWED = statements.NOT_ALLOWED
    FULL = statements.FULL
    OWNER = statements.OWNER
    TOO_FEW = statements.TOO_FEW  # the group has more members than it would be allowed
    OVERTAKEN = statements.OVERTAKEN  # see ``GroupWish.expected_rev``


class GroupInfo(NamedTuple):
    """A group; ``created_at`` is epoch seconds."""

    group_id: str
    name: str
    description: str
    created_by: str
    max_members: int
    member_count: int
    created_at: float


class UserGroup(NamedTuple):
    """A group as one of its members sees it."""

    group: GroupInfo
    role: str
    joined_at: float
    unread_count: int


class GroupChanged(NamedTuple):
    """Committed, at this ``rev``, which is the group's ``group_rev`` too; what the member may now.

    ``is_new`` is false for what was so already, and nobody else is told.
    """

    rev: int
    is_new: bool
    can_send: bool
    can_add: bool


class GroupWish(NamedTuple):
    """One change; what belongs to another kind is None.

    With ``expected_rev`` it is only made of a group with this ``group_rev``.
    """

    kind: Kind
    group: Group
    actor_id: str
    target_id: str | None = None
    can_send: bool | None = None
    can_add: bool | None = None
    name: str | None = None
    description: str | None = None
    max_members: int | None = None
    expected_rev: int | None = None


class _NewGroup(NamedTuple):
    group_id: str
    name: str
    description: str
    creator_id: str
    max_members: int
    user_ids: Sequence[str]


_Result = GroupChanged | GroupRefusal


class Groups:
    """Makes and changes groups, each change exactly once and in the order of ``rev``.

    Attributes:
        created: Groups that were made.
        changed: Changes that were made.
        refused: Changes that were refused.
    """

    def __init__(
        self, writer: "MessageWriter", pool: "Pool", *, deadline: float = DEADLINE
    ) -> None:
        """Take the writer whose lanes changes go through, and the pool for questions."""
        self._changes: list[WorkQueue[GroupWish, _Result]] = writer.add_work(
            self._change, max_batch=1
        )
        self._creations: list[WorkQueue[_NewGroup, tuple[int, float]]] = writer.add_work(
            self._create, max_batch=1
        )
        self._pool = pool
        self._deadline = deadline
        self.created = 0
        self.changed = 0
        self.refused = 0

    async def create(
        self,
        group_id: str,
        name: str,
        description: str,
        creator_id: str,
        max_members: int,
        user_ids: Sequence[str],
    ) -> tuple[Group, GroupInfo]:
        """Make a group of these users, who must exist; the creator is one of them and owns it.

        Raises:
            ServiceUnavailable: it was not made: its turn did not come in time.
        """
        wanted = _NewGroup(group_id, name, description, creator_id, max_members, user_ids)
        room_id, created_at = await self._creations[0].do(wanted)
        info = GroupInfo(
            group_id, name, description, creator_id, max_members, len(user_ids), created_at
        )
        return Group(room_id, group_id), info

    async def change(self, wish: GroupWish) -> GroupChanged | GroupRefusal:
        """Change a group or its members, if the actor may.

        Raises:
            ServiceUnavailable: nothing was changed: the turn did not come in time.
        """
        return await self._changes[wish.group.room_id % len(self._changes)].do(wish)

    async def find(self, group: Group) -> tuple[GroupInfo, int] | None:
        """Return what a group is, and its ``group_rev``; None: it was deleted.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        row = await self._pool.fetchrow(INFO, group.room_id, timeout=self._deadline, name="groups")
        return None if row is None else (GroupInfo._make(row[1:]), row[0])

    async def of_user(self, user_id: str) -> list[UserGroup]:
        """Return the groups of a user, at most ``MOST_GROUPS``, the one last written to first.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._pool.fetch(OF_USER, user_id, timeout=self._deadline, name="groups")
        return [UserGroup(GroupInfo._make(row[:7]), *row[7:]) for row in rows]

    async def _create(
        self, fence: Fence, wanted: Sequence[_NewGroup]
    ) -> list[tuple[int, float] | Exception] | None:
        (new,) = wanted
        answer = await fence.run(
            statements.CREATE,
            (
                new.group_id,
                new.name,
                new.description,
                new.creator_id,
                new.max_members,
                list(new.user_ids),
            ),
        )
        if answer is None:
            return None
        self.created += 1
        return [(answer[0], answer[1] / 1e6)]

    async def _change(
        self, fence: Fence, wishes: Sequence[GroupWish]
    ) -> list[_Result | Exception] | None:
        (wish,) = wishes
        answer = await fence.run(
            statements.CHANGE,
            (
                wish.group.room_id,
                wish.kind.value,
                wish.actor_id,
                wish.target_id,
                wish.can_send,
                wish.can_add,
                wish.name,
                wish.description,
                wish.max_members,
                wish.expected_rev,
            ),
        )
        if answer is None or answer[0] == statements.GO_AGAIN:
            return None
        verdict, rev, can_send, can_add = answer
        if verdict in (statements.DONE, statements.IS_SO_ALREADY):
            is_new = verdict == statements.DONE
            self.changed += is_new
            return [GroupChanged(rev, is_new, bool(can_send), bool(can_add))]
        self.refused += 1
        return [GroupRefusal(verdict)]
