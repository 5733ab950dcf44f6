"""The embedded PostgreSQL beside threads and forked children of its owner."""

import asyncio
import os
import signal
import socket
import threading

import asyncpg
import pytest

from fastchat.store import embedded
from fastchat.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.functional.store.folders import public_folder

PATIENCE = 30.0


@pytest.fixture
def server():
    with public_folder() as folder, EmbeddedPostgres(folder) as server:
        yield server


def kill(server):
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def in_thread(function):
    """Call a function in a thread that ends with it; return its result or its error."""
    results = []

    def call():
        try:
            results.append(function())
        except EmbeddedPostgresError as error:
            results.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, results


async def test_a_server_outlives_the_thread_that_started_it_again(server):
    kill(server)
    thread, results = in_thread(server.ensure_running)
    await asyncio.to_thread(thread.join, PATIENCE)
    assert results == [True]
    connection = await asyncpg.connect(server.dsn, ssl=False)
    # The signal of the kernel, if there were one, would have been sent before this answer.
    assert await connection.fetchval("SELECT 1") == 1
    connection.terminate()
    assert not await asyncio.to_thread(server.ensure_running)


def test_of_threads_that_start_it_at_once_one_does(server):
    kill(server)
    started = [in_thread(server.ensure_running) for _ in range(4)]
    for thread, _ in started:
        thread.join(PATIENCE)
    assert sorted(results[0] for _, results in started) == [False, False, False, True]
    assert server.restarts == 1


def test_stop_gives_up_a_start_under_way(server, monkeypatch):
    waits = threading.Event()

    def never_ready(self, process):
        waits.set()
        self._is_stopping.wait(PATIENCE)
        process.kill()
        process.wait()
        return False

    monkeypatch.setattr(EmbeddedPostgres, "_wait_until_ready", never_ready)
    kill(server)
    thread, results = in_thread(server.ensure_running)
    assert waits.wait(PATIENCE)
    server.stop()
    thread.join(PATIENCE)
    assert isinstance(results[0], EmbeddedPostgresError)
    assert server.pid == 0


def test_a_forked_child_neither_stops_nor_starts_the_server(server):
    pid = server.pid
    child = os.fork()
    if child == 0:
        code = 1
        try:
            server.stop()
            code = 2 if server.ensure_running() else 0
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
