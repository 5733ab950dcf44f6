"""Which other workers a user is connected to, against its plain definition."""

from hypothesis import given
from hypothesis import strategies as st

from fastchat.hub.directory import Directory

WORKERS = st.sampled_from("abc")
USERS = st.sampled_from("12345")
STEPS = st.lists(st.tuples(st.booleans(), WORKERS, USERS), max_size=60)


@given(STEPS)
def test_it_knows_who_is_where(steps):
    directory = Directory()
    known = set()
    for is_added, worker, user in steps:
        was_somewhere = any(u == user for _, u in known)
        was_there = (worker, user) in known
        if is_added:
            assert directory.add(worker, user) == (not was_somewhere)
            known.add((worker, user))
        else:
            left = directory.remove(worker, user)
            known.discard((worker, user))
            assert left == (was_there and not any(u == user for _, u in known))
        assert len(directory) == len({u for _, u in known})
    for user in "12345":
        assert (user in directory) == any(u == user for _, u in known)
        assert set(directory.places_of(user)) == {w for w, u in known if u == user}
    for worker in "abc":
        assert directory.users_of(worker) == {u for w, u in known if w == worker}
    found = directory.split("12345")
    assert {(w, u) for w, users in found.items() for u in users} == known
