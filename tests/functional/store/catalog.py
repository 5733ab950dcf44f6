"""Write fastchat/store/schema/catalog.json anew: ``make catalog``."""

import asyncio
from pathlib import Path

import asyncpg

from fastchat.store import catalog, migrations
from fastchat.store.embedded import EmbeddedPostgres
from tests.functional.store.folders import public_folder

PLACE = Path(catalog.__file__).with_name("schema") / catalog.FILE
HISTORY = "schema_migrations"


async def migrated(dsn: str) -> catalog.Catalog:
    """Migrate an empty database and look at it."""
    connection = await asyncpg.connect(dsn)
    try:
        await migrations.migrate(connection)
        found = await catalog.read(connection, "public")
    finally:
        await connection.close()
    del found[HISTORY]
    return found


if __name__ == "__main__":
    with public_folder() as folder, EmbeddedPostgres(folder) as server:
        PLACE.write_text(catalog.write(asyncio.run(migrated(server.dsn))), "utf-8")
