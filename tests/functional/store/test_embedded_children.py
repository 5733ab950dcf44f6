"""The embedded PostgreSQL beside forked children of its owner, and ports that are taken."""

import os
import socket

import pytest

from fastchat.store import embedded
from fastchat.store.embedded import EmbeddedPostgres
from tests.functional.store.folders import public_folder

PATIENCE = 30.0


@pytest.fixture
def server():
    with public_folder() as folder, EmbeddedPostgres(folder) as server:
        yield server


def test_a_forked_child_neither_stops_nor_starts_the_server(server):
    pid = server.pid
    child = os.fork()
    if child == 0:
        code = 1
        try:
            server.stop()
            code = 2 if server.revive() else 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert server.pid == pid
    with socket.create_connection(("127.0.0.1", server._port), PATIENCE):
        pass


def test_the_folder_is_free_after_the_stop_though_a_child_lives_on():
    with public_folder() as folder:
        first = EmbeddedPostgres(folder)
        first.start()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        try:
            first.stop()
            with EmbeddedPostgres(folder) as second:
                assert second.pid
        finally:
            os.close(writing)
            os.waitpid(child, 0)


def test_a_new_server_takes_another_port_when_its_own_was_taken_meanwhile(monkeypatch):
    with public_folder() as folder, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1]])
        find = embedded.free_port
        monkeypatch.setattr(embedded, "free_port", lambda: next(ports, 0) or find())
        with EmbeddedPostgres(folder) as server:
            assert server.pid
            assert server._port != taken.getsockname()[1]
