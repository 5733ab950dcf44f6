from types import SimpleNamespace

import pytest

from fastchat._speedups.routing import RoutingTable
from fastchat.hub.presence import Presence
from fastchat.hub.sessions import Hub

GRACE = 60.0


class FakeRoutes:
    """The part of the routing table that knows users; connections here are plain objects."""

    def __init__(self):
        self.rows = {}
        self.publish = self.publish_all = self.publish_marked = None

    def add(self, user_id, connection):
        self.rows.setdefault(user_id, []).append(connection)
        return len(self.rows[user_id])

    def remove(self, user_id, connection):
        self.rows[user_id].remove(connection)
        left = len(self.rows[user_id])
        if not left:
            del self.rows[user_id]
        return left

    def users(self):
        return list(self.rows)

    def __contains__(self, user_id):
        return user_id in self.rows


def make_session(user_id):
    user = SimpleNamespace(user_id=user_id, username="name", display_name="Name")
    return SimpleNamespace(user=user, user_id=user_id, connection=object())


class FakeAudience:
    """Who would be told of presence."""

    def __init__(self):
        self.sessions = []
        self.add = self.sessions.append
        self.remove = self.sessions.remove


@pytest.fixture
def told():
    return []


@pytest.fixture
def hub(told):
    presence = Presence(GRACE, lambda user, is_online: told.append((user.user_id, is_online)))
    return Hub(FakeRoutes(), presence)


def test_the_fake_has_what_the_routing_table_has():
    names = {name for name in vars(FakeRoutes) if not name.startswith("__")}
    assert all(hasattr(RoutingTable, name) for name in names)


def test_a_user_is_here_while_one_of_his_sessions_is(hub, told):
    first, second = make_session("1"), make_session("1")
    hub.join(first)
    hub.join(second)
    assert not hub.leave(first, 0.0)
    assert hub.is_here("1")
    assert hub.leave(second, 0.0)
    assert not hub.is_here("1")
    assert told == [("1", True)]


def test_the_audience_of_presence_is_every_session():
    audience = FakeAudience()
    hub = Hub(FakeRoutes(), Presence(GRACE, lambda *_: None), audience=audience)
    first, second = make_session("1"), make_session("1")
    hub.join(first)
    hub.join(second)
    assert audience.sessions == [first, second]
    hub.leave(first, 0.0)
    assert audience.sessions == [second]


def test_a_user_counts_as_online_within_the_grace_period(hub, told):
    session = make_session("1")
    hub.join(session)
    hub.leave(session, 0.0)
    assert hub.is_online("1")
    assert hub.user_ids() == frozenset()
    hub.sweep(GRACE)
    assert not hub.is_online("1")
    assert (hub.users_online, hub.peak_users) == (0, 1)
    assert told == [("1", True), ("1", False)]
