"""What follows a commit: a hundred messages encoded, acknowledged, and handed to their receivers.

Until the frames are in the outboxes, which are written afterwards.
"""

import pytest

from benchmarks.in_process import CREATED, GROUP_REV, InProcess
from fastchat.handlers.sending import Send
from fastchat.protocol.commands import SendPrivateMessage
from fastchat.store.batch import Stored

COUNT = 100
ROUNDS = 100


@pytest.mark.parametrize(("kind", "members"), [("direct", 2), ("group", 50)])
def test_a_hundred_outcomes(benchmark, kind, members):
    server = InProcess(members)
    dispatcher, handlers = server.server.dispatcher, server.server
    payload = server.direct(0, 1) if kind == "direct" else server.to_group()
    session = server.session(0)
    # The first one asks the database for the room and for its members.
    expected = server.endpoint.messages_out + members
    dispatcher.on_message(session.connection, payload)
    server.run(server.write(expected))
    command = handlers.codec.decode(payload)
    sending = handlers.messages if kind == "direct" else handlers.group_messages
    assert (kind == "direct") == isinstance(command, SendPrivateMessage)
    room = (
        handlers.rooms.peek(*server.users[:2])
        if kind == "direct"
        else handlers.rooms.peek_group(command.group_id)
    )
    written = server.endpoint.messages_out

    def prepare():
        server.run(server.write(0))
        server.drain()
        sends = []
        for _ in range(COUNT):
            send = Send(sending, session, command, command.content, None, 0.0)
            send.room = room
            sends.append(send)
        return (sends,), {}

    def finish(sends):
        for number, send in enumerate(sends):
            send(Stored(number + 1, number + 1, CREATED / 1e6, GROUP_REV))

    benchmark.pedantic(finish, setup=prepare, rounds=ROUNDS)
    assert server.endpoint.messages_out - written == ROUNDS * COUNT * members
    server.close()
