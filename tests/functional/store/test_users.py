import asyncio

import asyncpg
import pytest

from fastchat.store.backend import BackendTables
from fastchat.store.users import PROFILE_AGE, Revoked, UserProfile, Users
from tests.functional.store.reading import (
    ID_TYPES,
    STRANGERS,
    USERS,
    native,
    open_pool,
    retype,
    tables,
)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database):
    async with open_pool(database) as pool:
        yield pool


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def users(pool, clock):
    return Users(pool, tables("bigint"), clock=clock)


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_finds_users_by_ids_of_every_type(connection, pool, id_type):
    await retype(connection, id_type)
    users = Users(pool, tables(id_type))
    found = await asyncio.gather(*(users.authenticate(None, one) for one in USERS[id_type]))
    assert found == [
        UserProfile(one, f"name{n}", f"{n}@example.org", None, None, f"name{n}")
        for n, one in enumerate(USERS[id_type])
    ]


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_an_id_that_is_no_users_finds_nobody_and_hurts_no_neighbour(
    connection, pool, id_type
):
    await retype(connection, id_type)
    users = Users(pool, tables(id_type))
    known = USERS[id_type][0]
    *strangers, neighbour = await asyncio.gather(
        *(users.authenticate("a token", one) for one in (*STRANGERS, known))
    )
    assert strangers == [None] * len(STRANGERS)
    assert neighbour.user_id == known


async def test_one_query_serves_all_log_ins_of_a_turn(users):
    found = await asyncio.gather(*(users.authenticate(f"t{n}", str(n)) for n in range(1, 51)))
    assert [profile.user_id for profile in found] == [str(n) for n in range(1, 51)]
    assert users.lookups.batches == 1


@pytest.mark.parametrize("id_type", ["text", "uuid", "bigint"])
async def test_a_revoked_token_is_told_from_an_unknown_user(connection, pool, id_type):
    await connection.execute(
        f"DROP TABLE jwt_revocation; CREATE TABLE jwt_revocation (jti {id_type})"
    )
    revoked, other, third = USERS[id_type]
    # Twice: the backend may have no unique key.
    for _ in range(2):
        await connection.execute("INSERT INTO jwt_revocation VALUES ($1)", native(revoked, id_type))
    users = Users(pool, BackendTables(id_type="bigint", revocation_id_type=id_type))
    found = await asyncio.gather(
        users.authenticate(revoked, "1"),
        users.authenticate(other, "1"),
        users.authenticate(None, "2"),
        users.authenticate("not a number", "3"),
        users.authenticate(revoked, "12345"),
        users.authenticate(other, "12345"),
    )
    assert [one if one is None else type(one) for one in found] == [
        Revoked,
        UserProfile,
        UserProfile,
        UserProfile,
        Revoked,
        None,
    ]
    assert await users.fetch_revoked([revoked, other, third, "x"]) == {revoked}
    assert await users.fetch_revoked([]) == set()


async def test_a_second_profile_makes_no_second_log_in(connection, pool):
    await retype(connection, "bigint")
    await connection.execute(
        "INSERT INTO user_profile_info VALUES (10, 'Ada', 'L'), (10, 'Ada', 'L'), (9, 'Bo', 'M')"
    )
    users = Users(pool, tables("bigint"))
    found = await asyncio.gather(users.authenticate("a", "10"), users.authenticate("b", "9"))
    assert [profile.display_name for profile in found] == ["Ada L", "Bo M"]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (("Ada", "Lovelace", "Countess"), "Countess"),
        (("Ada", "Lovelace", ""), "Ada Lovelace"),
        (("Ada", None, None), "Ada"),
        (("", "Lovelace", None), "Lovelace"),
        (("", "", None), "user1"),
        ((None, None, None), "user1"),
    ],
)
async def test_the_display_name_is_the_best_there_is(connection, users, profile, expected):
    await connection.execute("INSERT INTO user_profile_info VALUES (1, $1, $2, $3)", *profile)
    found = await users.authenticate(None, "1")
    assert (found.first_name, found.last_name) == profile[:2]
    assert found.display_name == expected


async def test_profiles_without_the_optional_column_are_read(connection, pool):
    await connection.execute(
        "ALTER TABLE user_profile_info DROP COLUMN display_name;"
        "INSERT INTO user_profile_info VALUES (1, 'Ada', 'Lovelace')"
    )
    users = Users(pool, BackendTables(id_type="bigint", profile_id_type="bigint"))
    assert (await users.authenticate("t", "1")).display_name == "Ada Lovelace"


async def test_profile_ids_may_have_another_type_than_user_ids(connection, pool):
    await connection.execute(
        "DROP TABLE user_profile_info;"
        "CREATE TABLE user_profile_info (user_id text, first_name text, last_name text);"
        "INSERT INTO user_profile_info VALUES ('1', 'Ada', 'Lovelace')"
    )
    users = Users(pool, BackendTables(id_type="bigint", profile_id_type="text"))
    found = await asyncio.gather(users.authenticate(None, "1"), users.authenticate(None, "2"))
    assert [profile.display_name for profile in found] == ["Ada Lovelace", "user2"]


async def test_users_the_backend_does_not_know_are_in_the_fallback_table(connection, users):
    await connection.executemany(
        "INSERT INTO chat_users VALUES ($1, $2, $3, $4, $5, $6)",
        [
            ("guest_1%", "guest", "g@example.org", "Gus", "Est", None),
            ("1", "impostor", "i@example.org", "Im", "Postor", "Impostor"),
        ],
    )
    guest, owner = await asyncio.gather(
        users.authenticate(None, "guest_1%"), users.authenticate(None, "1")
    )
    assert guest == UserProfile("guest_1%", "guest", "g@example.org", "Gus", "Est", "Gus Est")
    # The backend's user has nothing of his namesake.
    assert owner == UserProfile("1", "user1", "user1@example.org", None, None, "user1")


async def test_without_any_table_of_the_backend_only_fallback_users_are_known(connection, pool):
    await connection.execute(
        "DROP TABLE users_auth, user_profile_info, jwt_revocation;"
        "INSERT INTO chat_users (user_id, username) VALUES ('10', 'ten')"
    )
    users = Users(pool, BackendTables())
    found = await asyncio.gather(users.authenticate("t", "10"), users.authenticate("t", "11"))
    assert found == [UserProfile("10", "ten", None, None, None, "ten"), None]
    assert await users.fetch_revoked(["t"]) == set()


async def test_a_profile_is_asked_for_once_until_it_is_too_old(connection, users, clock):
    first = await users.find("1")
    await connection.execute("UPDATE users_auth SET username = 'renamed' WHERE user_id = 1")
    assert await users.find("1") is first
    clock.now += PROFILE_AGE
    assert users.peek("1") is None
    assert (await users.find("1")).username == "renamed"


async def test_a_log_in_is_always_fresh_and_refreshes_the_profile(connection, users):
    await users.find("1")
    await connection.execute("UPDATE users_auth SET username = 'renamed' WHERE user_id = 1")
    assert (await users.authenticate(None, "1")).username == "renamed"
    assert users.peek("1").username == "renamed"


async def test_a_user_who_was_unknown_is_found_as_soon_as_he_exists(connection, users):
    assert await users.find("5000") is None
    await connection.execute("INSERT INTO users_auth VALUES (5000, 'late', NULL)")
    assert (await users.find("5000")).username == "late"


async def test_many_users_are_found_with_one_query_and_those_in_memory_with_none(users, pool):
    first = await users.find("1")
    queries = pool.queries
    found = await users.find_many(["1", "2", "3", "2", "5000", "x'; --"])
    assert {user_id: profile.username for user_id, profile in found.items()} == {
        "1": "user1",
        "2": "user2",
        "3": "user3",
    }
    assert found["1"] is first
    assert pool.queries == queries + 1
    assert set(await users.find_many(["1", "2", "3"])) == {"1", "2", "3"}
    assert pool.queries == queries + 1
    assert await users.find_many([]) == {}
