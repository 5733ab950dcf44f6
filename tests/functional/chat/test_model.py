"""Random users against the server and a plain model: what each may do, hears and sees."""

import asyncio
import itertools
from contextlib import AsyncExitStack

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.functional.chat.conftest import Chat, make_places
from tests.functional.chat.model import DENIED, NOT_FOUND, Message, Model, Room
from tests.functional.chat.replica import Replica, timeless
from tests.functional.chat.talking import run_sql

PLAYERS = 4
PAGE = 20  # small enough to come from the cache of newest pages
MANY = "100000"
AWAY = (1, 2, 5, 11)  # steps between two looks at what one missed, by player
LIMITS = (200, 200, 3, 1)  # messages of a conversation that he asks for
BLOCK = "INSERT INTO blocked_relationships VALUES ($1, $2) ON CONFLICT DO NOTHING"
UNBLOCK = """
DELETE FROM blocked_relationships WHERE (blocker_id, blocked_id) IN (($1, $2), ($2, $1))
"""
players = st.integers(0, PLAYERS - 1)
picks = st.integers(0, 10**6)


class Stage:
    """Some workers for all plays; each play has users of its own, spread over the workers."""

    def __init__(self, runner: asyncio.Runner, database: str, workers: int) -> None:
        self.run = runner.run
        self.stack = AsyncExitStack()
        self.chats = [Chat(database, self.stack) for _ in range(workers)]
        self.chat = self.chats[0]
        self.plays = itertools.count(1)
        self.run(self._open())

    async def _open(self) -> None:
        limits = {"MESSAGE_RATE_LIMIT": MANY, "COMMAND_RATE_LIMIT": MANY}
        for chat, place in zip(self.chats, make_places(len(self.chats)), strict=True):
            await chat.start(place, WEB_CONCURRENCY=str(len(self.chats)), **limits)
        await run_sql(
            self.chat,
            "INSERT INTO users_auth (user_id, username) "
            "SELECT n, 'user' || n FROM generate_series(1000, 9999) n",
        )

    def is_quiet(self) -> bool:
        """Whether all that was to be told has been: no members to be read, nothing on the bus."""
        servers = [chat.server for chat in self.chats]
        if any(server.delivery.held for server in servers):
            return False
        if len(servers) == 1:
            return True
        exchanges = [server.others.exchange for server in servers]
        said = sum(exchange.messages_out + exchange.waiting for exchange in exchanges)
        heard = sum(exchange.messages_in for exchange in exchanges)
        return said == heard and not any(server.others.held for server in servers)

    def close(self) -> None:
        self.run(self._close())

    async def _close(self) -> None:
        await self.stack.aclose()
        for chat in self.chats:
            await chat.stop()


class Play(RuleBasedStateMachine):
    """Four users who do anything, and the model of what should come of it."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.steps = 0

    @initialize()
    def enter(self):
        first = 1000 + PLAYERS * next(self.stage.plays)
        self.users = [str(first + number) for number in range(PLAYERS)]
        self.stage.run(self._enter())

    async def _enter(self):
        chats = itertools.cycle(self.stage.chats)
        self.clients = {user: await next(chats).join(user) for user in self.users}
        self.replicas = {user: Replica() for user in self.users}

    def teardown(self):
        if hasattr(self, "clients"):
            self.stage.run(self._leave())

    async def _leave(self):
        for client in self.clients.values():
            await client.close()

    # What is done

    def ask(self, user, expected, heard_by=(), **command):
        """Let a user send a command; compare the answer and who hears of it."""
        return self.stage.run(self._ask(user, expected, set(heard_by) - {user}, command))

    async def _ask(self, user, expected, heard_by, command):
        answer = await self.clients[user].request(**command)
        code = answer.get("code") if answer["type"] == "error" else None
        assert code == expected, (command, answer, expected)
        async with asyncio.timeout(5):
            while not self.stage.is_quiet():
                await asyncio.sleep(0)
        for other, client in self.clients.items():
            assert (await client.request(type="ping"))["type"] == "pong"
            heard = [frame["type"] for frame in client.unread]
            client.unread.clear()
            wanted = 1 if other in heard_by and expected is None else 0
            assert len(heard) == wanted, (command, other, heard, wanted)
        return answer

    def pick(self, number) -> tuple[Room, Message] | None:
        found = [(room, message) for room in self.model.rooms for message in room.messages]
        return found[number % len(found)] if found else None

    def pick_group(self, number) -> Room | None:
        groups = [room for room in self.model.rooms if room.is_group]
        return groups[number % len(groups)] if groups else None

    @rule(one=players, other=players, text=st.sampled_from(["a", "b", "c"]))
    def send(self, one, other, text):
        user, recipient = self.users[one], self.users[other]
        if user == recipient:
            return
        expected = self.model.may_send(None, user, recipient)
        answer = self.ask(
            user,
            expected,
            [recipient],
            type="send_private_message",
            recipientId=recipient,
            content=text,
        )
        if expected is None:
            room = self.model.between(user, recipient)
            if room is None:
                members = {user: "", recipient: ""}
                room = Room(answer["message"]["conversationId"], members)
                self.model.rooms.append(room)
            self.model.add(room, user, text, answer["messageId"])
            assert answer["message"]["seq"] == len(room.messages)

    @rule(owner=players, others=st.sets(players))
    def create_group(self, owner, others):
        user = self.users[owner]
        invited = [self.users[other] for other in others if other != owner]
        members = [other for other in invited if not self.model.is_blocked(user, other)]
        answer = self.ask(
            user, None, members, type="create_group", groupName="g", initialMembers=invited
        )
        roles = {user: "owner"} | dict.fromkeys(members, "member")
        self.model.rooms.append(Room(answer["groupId"], roles, is_group=True))

    @precondition(lambda self: self.pick_group(0))
    @rule(one=players, number=picks)
    def send_to_group(self, one, number):
        user, room = self.users[one], self.pick_group(number)
        expected = self.model.may_send(room, user, None)
        answer = self.ask(
            user,
            expected,
            room.members,
            type="send_group_message",
            groupId=room.room_id,
            content="g",
        )
        if expected is None:
            self.model.add(room, user, "g", answer["messageId"])

    @precondition(lambda self: self.pick_group(0))
    @rule(one=players, other=players, number=picks)
    def add_member(self, one, other, number):
        user, target, room = self.users[one], self.users[other], self.pick_group(number)
        role = room.members.get(user)
        if role is None:
            expected = NOT_FOUND
        elif role == "member":
            expected = DENIED
        else:
            is_blocked = user != target and self.model.is_blocked(user, target)
            expected = "USER_BLOCKED" if is_blocked else None
        is_new = target not in room.members
        heard = [*room.members, target] if is_new else []
        self.ask(
            user, expected, heard, type="add_group_member", groupId=room.room_id, userId=target
        )
        if expected is None and is_new:
            room.members[target] = "member"
            room.read[target] = max(room.read.get(target, 0), len(room.messages))

    @precondition(lambda self: self.pick_group(0))
    @rule(one=players, other=players, number=picks)
    def remove_member(self, one, other, number):
        user, target, room = self.users[one], self.users[other], self.pick_group(number)
        role, his = room.members.get(user), room.members.get(target)
        if role is None:
            expected = NOT_FOUND
        elif user == target:
            expected = "OWNER_CANNOT_LEAVE" if role == "owner" else None
        elif role == "member":
            expected = DENIED
        elif his is None:
            expected = NOT_FOUND
        else:
            expected = DENIED if role == "admin" and his != "member" else None
        self.ask(
            user,
            expected,
            room.members,
            type="remove_group_member",
            groupId=room.room_id,
            userId=target,
        )
        if expected is None:
            del room.members[target]

    @precondition(lambda self: self.pick_group(0))
    @rule(one=players, other=players, number=picks)
    def promote(self, one, other, number):
        user, target, room = self.users[one], self.users[other], self.pick_group(number)
        role, his = room.members.get(user), room.members.get(target)
        expected = None
        if role is None:
            expected = NOT_FOUND
        elif role != "owner":
            expected = DENIED
        elif his is None:
            expected = NOT_FOUND
        heard = room.members if his == "member" else []
        self.ask(user, expected, heard, type="promote_member", groupId=room.room_id, userId=target)
        if expected is None and his == "member":
            room.members[target] = "admin"

    @precondition(lambda self: self.pick_group(0))
    @rule(one=players, number=picks)
    def delete_group(self, one, number):
        user, room = self.users[one], self.pick_group(number)
        role = room.members.get(user)
        expected = NOT_FOUND if role is None else None if role == "owner" else DENIED
        self.ask(user, expected, room.members, type="delete_group", groupId=room.room_id)
        if expected is None:
            room.members.clear()

    @rule(one=players, other=players)
    def block(self, one, other):
        if one != other:
            pair = self.users[one], self.users[other]
            self.model.blocks.add(frozenset(pair))
            self.stage.run(self._sql(BLOCK, pair))

    @rule(one=players, other=players)
    def unblock(self, one, other):
        pair = self.users[one], self.users[other]
        self.model.blocks.discard(frozenset(pair))
        self.stage.run(self._sql(UNBLOCK, pair))

    async def _sql(self, statement, pair):
        await run_sql(self.stage.chat, statement, *map(int, pair))

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks)
    def edit(self, one, number):
        user, (room, message) = self.users[one], self.pick(number)
        expected = self.model.touch(room, message, user, "edit")
        content = message.content + "!"
        self.ask(
            user,
            expected,
            room.members,
            type="edit_message",
            messageId=message.message_id,
            content=content,
        )
        if expected is None:
            message.content = content

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks)
    def delete(self, one, number):
        user, (room, message) = self.users[one], self.pick(number)
        expected = self.model.touch(room, message, user, "delete")
        heard = [] if message.is_deleted else room.members
        self.ask(user, expected, heard, type="delete_message", messageId=message.message_id)
        if expected is None:
            message.is_deleted = True
            message.is_pinned = False

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks)
    def remove(self, one, number):
        user, (room, message) = self.users[one], self.pick(number)
        was_deleted = message.is_deleted
        expected = None if was_deleted else self.model.touch(room, message, user, "remove")
        if was_deleted:
            expected = None if user in room.members else NOT_FOUND
        self.ask(
            user,
            expected,
            type="delete_message",
            messageId=message.message_id,
            deleteForEveryone=False,
        )

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks, reaction=st.sampled_from(["+1", "-1"]))
    def react(self, one, number, reaction):
        user, (room, message) = self.users[one], self.pick(number)
        expected = self.model.touch(room, message, user, "react")
        self.ask(
            user,
            expected,
            room.members,
            type="add_reaction",
            messageId=message.message_id,
            reaction=reaction,
        )
        if expected is None:
            if message.reactions.get(user) == reaction:
                del message.reactions[user]
            else:
                message.reactions[user] = reaction

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks)
    def take_back(self, one, number):
        user, (room, message) = self.users[one], self.pick(number)
        expected = self.model.touch(room, message, user, "unreact")
        heard = room.members if user in message.reactions else []
        self.ask(user, expected, heard, type="remove_reaction", messageId=message.message_id)
        if expected is None:
            message.reactions.pop(user, None)

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks, is_pin=st.booleans())
    def pin(self, one, number, is_pin):
        user, (room, message) = self.users[one], self.pick(number)
        kind = "pin" if is_pin else "unpin"
        expected = self.model.touch(room, message, user, kind)
        heard = [] if message.is_pinned == is_pin else room.members
        self.ask(
            user,
            expected,
            heard,
            type=f"{kind}_message",
            messageId=message.message_id,
            conversationId=room.room_id,
        )
        if expected is None:
            message.is_pinned = is_pin

    @precondition(lambda self: self.pick(0))
    @rule(one=players, number=picks)
    def read(self, one, number):
        user, (room, message) = self.users[one], self.pick(number)
        is_there = not message.is_deleted and user not in message.removed_by
        expected = None if user in room.members and is_there else NOT_FOUND
        moves = message.seq > room.read.get(user, 0)
        heard = room.members if moves and not room.is_group else []
        self.ask(user, expected, heard, type="mark_message_read", messageId=message.message_id)
        if expected is None:
            room.read[user] = max(room.read.get(user, 0), message.seq)

    @precondition(lambda self: self.model.rooms)
    @rule(one=players, number=picks)
    def hide(self, one, number):
        user, room = self.users[one], self.model.rooms[number % len(self.model.rooms)]
        expected = None if user in room.members else NOT_FOUND
        self.ask(user, expected, type="delete_conversation", conversationId=room.room_id)
        if expected is None:
            room.hidden[user] = len(room.messages)

    async def _catch_up(self, user, limit):
        """A user who has been away since he last asked knows all that is to be known."""
        client, replica = self.clients[user], self.replicas[user]
        await replica.catch_up(client, limit)
        rooms = {
            room.room_id: room
            for room in self.model.rooms
            if user in room.members and (room.is_group or room.messages)
        }
        assert set(replica.conversations) == set(rooms)
        for name, room in rooms.items():
            known = replica.conversations[name]
            page = await client.request(type="get_private_messages", conversationId=name, limit=200)
            assert replica.shown(name) == list(map(timeless, page["messages"]))
            assert [each["id"] for each in replica.shown(name)] == [
                each.message_id for each in room.visible(user)
            ]
            readers = [user] if room.is_group else room.members
            assert known["readUpTo"] == {each: room.read.get(each, 0) for each in readers}
            assert known["unreadCount"] == room.unread(user)
            assert known["hidden"] == (room.hidden.get(user, 0) > 0 and not room.visible(user))
            if room.is_group:
                info = await client.request(type="get_group_info", groupId=name)
                assert known["group"] == info["group"]
                roles = {each["userId"]: each["role"] for each in known["members"]}
                assert roles == room.members

    # What is seen

    @precondition(lambda self: hasattr(self, "clients"))
    @invariant()
    def everybody_sees_what_he_should(self):
        self.stage.run(self._look())

    async def _look(self):
        for user, client in self.clients.items():
            listed = (await client.request(type="get_conversations", limit=200))["conversations"]
            assert [
                (each["conversationId"], each["unreadCount"], each["lastMessage"]["content"])
                for each in listed
            ] == [
                (room.room_id, room.unread(user), room.visible(user)[-1].content)
                for room in self.model.list_for(user)
            ]
            groups = (await client.request(type="get_user_groups"))["groups"]
            assert {(each["groupId"], each["myRole"], each["memberCount"]) for each in groups} == {
                (room.room_id, room.members[user], len(room.members))
                for room in self.model.rooms
                if room.is_group and user in room.members
            }
            for room in self.model.rooms:
                await self._look_into(client, user, room)

    @precondition(lambda self: hasattr(self, "clients"))
    @invariant()
    def everybody_catches_up_now_and_then(self):
        self.steps += 1
        for user, period, limit in zip(self.users, AWAY, LIMITS, strict=True):
            if self.steps % period == 0:
                self.stage.run(self._catch_up(user, limit))

    async def _look_into(self, client, user, room):
        where = {"conversationId": room.room_id}
        page = await client.request(type="get_private_messages", limit=PAGE, **where)
        if user not in room.members:
            assert page["code"] == NOT_FOUND, page
            return
        visible = room.visible(user)
        assert [
            (
                message["id"],
                message["seq"],
                message["senderId"],
                message["content"],
                {each["userId"]: each["reaction"] for each in message["reactions"]},
                message.get("isPinned", False),
            )
            for message in page["messages"]
        ] == [
            (each.message_id, each.seq, each.sender, each.content, each.reactions, each.is_pinned)
            for each in visible[-PAGE:]
        ]
        pinned = await client.request(type="get_pinned_messages", **where)
        assert [each["id"] for each in pinned["messages"]] == [
            each.message_id for each in visible if each.is_pinned
        ]


@pytest.fixture(params=[1, 3], ids=["one worker", "three workers"])
def stage(request, database):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stage = Stage(runner, database, request.param)
        yield stage
        stage.close()


def test_random_users_see_and_may_do_what_the_model_says(stage):
    class Staged(Play):
        pass

    Staged.stage = stage
    run_state_machine_as_test(
        Staged,
        settings=settings(
            max_examples=20 if len(stage.chats) == 1 else 6,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
