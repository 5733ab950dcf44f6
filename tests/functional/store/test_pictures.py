import asyncio

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.backend import BackendTables, detect
from fastchat.store.pictures import MAX_URL_SIZE, PICTURE_AGE, PICTURES_KEPT, Owner, Pictures
from tests.functional.store.reading import (
    ID_TYPES,
    STRANGERS,
    USERS,
    native,
    open_pool,
    retype,
    tables,
)

TEMPLATE = "https://example.com/pfp/{type}/{id}"


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


async def set_picture(connection, user_id, url):
    await connection.execute(
        "INSERT INTO user_profile_info (user_id, profile_picture_url) VALUES ($1, $2) "
        "ON CONFLICT (user_id) DO UPDATE SET profile_picture_url = $2",
        user_id,
        url,
    )


async def find(pictures, *ids, kind="user"):
    found = await pictures.find_many([Owner(kind, user_id) for user_id in ids])
    return [found[Owner(kind, user_id)] for user_id in ids]


async def test_the_address_of_a_users_picture_is_that_of_the_column(connection, pool):
    await set_picture(connection, 1, "https://cdn.example.org/1.png")
    await set_picture(connection, 2, "")
    await set_picture(connection, 3, None)
    pictures = Pictures(pool, await detect(connection), TEMPLATE)
    assert await find(pictures, "1", "2", "3", "4", "none") == [
        "https://cdn.example.org/1.png",
        None,
        None,
        None,
        None,
    ]
    assert await find(pictures, "1", kind="community") == ["https://example.com/pfp/community/1"]


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_pictures_are_found_for_ids_of_every_type(connection, pool, id_type):
    await retype(connection, id_type)
    await connection.execute("ALTER TABLE user_profile_info ADD profile_picture_url varchar(200)")
    for user_id in USERS[id_type]:
        await connection.execute(
            "INSERT INTO user_profile_info (user_id, profile_picture_url) VALUES ($1, $2)",
            native(user_id, id_type),
            f"/{user_id}",
        )
    pictures = Pictures(pool, tables(id_type))
    assert await find(pictures, *USERS[id_type]) == [f"/{user_id}" for user_id in USERS[id_type]]
    assert await find(pictures, *STRANGERS) == [None] * len(STRANGERS)


@pytest.mark.parametrize(
    "found", [BackendTables(), BackendTables(id_type="bigint", profile_id_type="bigint")]
)
async def test_without_the_column_addresses_are_made_of_the_template(pool, found):
    queries = pool.queries
    pictures = Pictures(pool, found, TEMPLATE)
    assert await find(pictures, "7", "a/b?{type}") == [
        "https://example.com/pfp/user/7",
        "https://example.com/pfp/user/a%2Fb%3F%7Btype%7D",
    ]
    assert await find(pictures, "7", kind="community") == ["https://example.com/pfp/community/7"]
    assert await find(Pictures(pool, found), "7") == [None]
    assert pool.queries == queries


async def test_addresses_that_are_too_long_or_not_printable_count_as_none(connection, pool):
    for user_id, url in (
        (1, "x" * MAX_URL_SIZE),
        (2, "x" * (MAX_URL_SIZE + 1)),
        (3, "\u00e9" * MAX_URL_SIZE),
        (4, "https://example.org/\x01"),
    ):
        await set_picture(connection, user_id, url)
    pictures = Pictures(pool, await detect(connection))
    assert await find(pictures, "1", "2", "3", "4") == ["x" * MAX_URL_SIZE, None, None, None]


async def test_what_was_found_is_kept_for_five_minutes(connection, pool):
    clock = Clock()
    await set_picture(connection, 1, "/old")
    pictures = Pictures(pool, await detect(connection), clock=clock)
    assert await find(pictures, "1", "2") == ["/old", None]
    await set_picture(connection, 1, "/new")
    await set_picture(connection, 2, "/new")
    clock.now += PICTURE_AGE - 1
    assert await find(pictures, "1", "2") == ["/old", None]
    clock.now += 1
    assert await find(pictures, "1", "2") == ["/new", "/new"]
    assert (pictures.cache.hits, pictures.cache.misses) == (2, 4)


async def test_no_more_are_kept_than_allowed(connection, pool):
    pictures = Pictures(pool, await detect(connection))
    for first in range(0, PICTURES_KEPT + 100, 50):
        await find(pictures, *map(str, range(first, first + 50)))
    assert len(pictures.cache) == PICTURES_KEPT


async def test_pictures_of_one_turn_are_one_query(connection, pool):
    await set_picture(connection, 1, "/1")
    pictures = Pictures(pool, await detect(connection))
    queries = pool.queries
    assert await asyncio.gather(
        find(pictures, "1", "2"), find(pictures, "1", "3"), find(pictures)
    ) == [["/1", None], ["/1", None], []]
    assert pool.queries == queries + 1


async def test_a_database_that_is_away_is_no_missing_picture(connection, pool):
    pictures = Pictures(pool, await detect(connection))
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await find(pictures, "1")
