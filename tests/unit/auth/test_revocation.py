import asyncio

import pytest

from fastchat.auth import revocation
from fastchat.auth.revocation import SESSION_EXPIRED, SESSION_REVOKED, RevocationWatch
from fastchat.errors import ServiceUnavailable


class FakeSession:
    def __init__(self, jti, expires_at=1e9):
        self.jti = jti
        self.expires_at = expires_at


class Backend:
    def __init__(self):
        self.revoked = set()
        self.asked = []
        self.error = None
        self.recovers_after = None

    async def fetch_revoked(self, jtis):
        self.asked.append(sorted(jtis))
        await asyncio.sleep(0)
        if self.error is not None and len(self.asked) != self.recovers_after + 1:
            raise self.error
        return self.revoked & set(jtis)


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def ended():
    return []


@pytest.fixture
def watch(backend, ended):
    return RevocationWatch(
        backend.fetch_revoked, lambda session, code: ended.append((session, code)), interval=0.01
    )


def test_a_session_ends_in_the_second_in_which_its_token_expires(watch, ended):
    session = FakeSession("a", expires_at=100.0)
    watch.watch(session)
    assert watch.expire(99.9) == 0
    assert watch.expire(100.2) == 1
    assert ended == [(session, SESSION_EXPIRED)]
    assert len(watch) == 0
    assert watch.expired == 1


def test_a_session_never_ends_before_its_token_expires(watch, ended):
    watch.watch(FakeSession("a", expires_at=100.5))
    watch.expire(100.4)
    assert ended == []
    watch.expire(101.0)
    assert len(ended) == 1


def test_a_token_that_expired_before_it_was_watched_ends_with_the_next_sweep(watch, ended):
    watch.expire(100.0)
    watch.watch(FakeSession("a", expires_at=99.0))
    watch.expire(101.0)
    assert len(ended) == 1


def test_a_replaced_token_counts_from_then_on(watch, ended):
    session = FakeSession("a", expires_at=100.0)
    watch.watch(session)
    session.expires_at = 200.0
    watch.watch(session)
    watch.expire(150.0)
    assert ended == []
    watch.expire(200.0)
    assert ended == [(session, SESSION_EXPIRED)]


def test_a_session_that_ended_by_itself_is_left_alone(watch, ended):
    session = FakeSession("a", expires_at=100.0)
    watch.watch(session)
    watch.forget(session)
    watch.forget(session)
    watch.expire(1000.0)
    assert ended == []


def test_sweeps_that_came_late_end_every_session_that_is_due(watch, ended):
    watch.expire(100.0)
    sessions = [FakeSession(str(n), expires_at=101.0 + n) for n in range(5)]
    for session in sessions:
        watch.watch(session)
    assert watch.expire(104.0) == 4
    assert [session for session, _ in ended] == sessions[:4]


def test_a_clock_that_jumps_by_years_and_back_ends_what_is_due(watch, ended):
    watch.watch(FakeSession("a", expires_at=100.0))
    watch.expire(1.0)
    assert watch.expire(4e9) == 1
    watch.expire(50.0)
    later = FakeSession("b", expires_at=60.0)
    watch.watch(later)
    assert watch.expire(59.0) == 0
    assert watch.expire(60.0) == 1


def test_ending_one_session_may_end_another(backend):
    one, other = FakeSession("a", 100.0), FakeSession("b", 100.0)
    watch = RevocationWatch(
        backend.fetch_revoked,
        lambda session, _: (watch.forget(one), watch.forget(other)),
        interval=1.0,
    )
    watch.watch(one)
    watch.watch(other)
    watch.expire(100.0)
    assert len(watch) == 0


async def test_every_session_of_a_revoked_token_ends_and_no_other(watch, backend, ended):
    phone, tablet, other, without = (FakeSession(jti) for jti in ("a", "a", "b", None))
    for session in (phone, tablet, other, without):
        watch.watch(session)
    backend.revoked = {"a"}
    assert await watch.check() == 2
    assert {(session, code) for session, code in ended} == {
        (phone, SESSION_REVOKED),
        (tablet, SESSION_REVOKED),
    }
    assert backend.asked == [["a", "b"]]
    assert (len(watch), watch.revoked, watch.checks) == (2, 2, 1)


async def test_without_sessions_nothing_is_asked(watch, backend):
    watch.watch(FakeSession(None))
    await watch.check()
    assert backend.asked == []


async def test_a_session_whose_token_was_replaced_during_the_look_up_lives(watch, backend, ended):
    session = FakeSession("old")
    watch.watch(session)
    backend.revoked = {"old"}
    checking = asyncio.ensure_future(watch.check())
    await asyncio.sleep(0)
    session.jti = "new"
    watch.watch(session)
    await checking
    assert ended == []


async def test_many_sessions_are_looked_up_in_parts(watch, backend, monkeypatch):
    monkeypatch.setattr(revocation, "IDS_PER_QUERY", 10)
    for number in range(25):
        watch.watch(FakeSession(str(number)))
    backend.revoked = {"3", "17", "24"}
    assert await watch.check() == 3
    assert sorted(len(part) for part in backend.asked) == [5, 10, 10]


@pytest.mark.parametrize("error", [ServiceUnavailable(), RuntimeError("bug")])
async def test_the_watch_goes_on_after_a_look_up_that_failed(backend, error, caplog):
    ended = asyncio.get_running_loop().create_future()
    watch = RevocationWatch(
        backend.fetch_revoked, lambda *what: ended.set_result(what), interval=0.01
    )
    session = FakeSession("a")
    watch.watch(session)
    backend.error, backend.revoked = error, {"a"}
    backend.recovers_after = 3
    running = asyncio.ensure_future(watch.run())
    assert await asyncio.wait_for(ended, 5.0) == (session, SESSION_REVOKED)
    running.cancel()
    await asyncio.wait([running])
    assert watch.failures == 3
    assert sum("live on" in record.message for record in caplog.records) == 1
