"""What ``fastchat doctor`` looks at in a database; nothing is written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from fastchat.cli.doctor import Finding
from fastchat.config import Config
from fastchat.store import backend, catalog, migrations

if TYPE_CHECKING:
    from asyncpg import Connection

OLDEST_POSTGRES = 13
LOOK = "3s"  # for one look into a table; on a very large one that may not be enough
SPARE = 5  # connections of others, administrators among them

# What must be so in the database that keeps its promises, why, and how bad the other is.
SAFE = {
    "fsync": ("on", "a crash of the machine can destroy everything", "FAIL"),
    "full_page_writes": ("on", "a crash of the machine can destroy pages", "FAIL"),
    "synchronous_commit": ("on", "messages that were acknowledged can be lost", "FAIL"),
    "autovacuum": ("on", "tables grow for ever, until nothing can be written", "FAIL"),
    "default_transaction_read_only": ("off", "nothing can be written", "FAIL"),
    "jit": ("off", "compiling plans makes the slowest answers slower", "note"),
    "wal_compression": ("on", "the log is larger than need be", "note"),
}
LEVELS_OF_COMMIT = {"on", "remote_apply"}  # remote_write and local acknowledge before the disk
COMPRESSED = {"on", "pglz", "lz4", "zstd"}
SMALLEST_WAL = 1024  # megabytes of min_wal_size
SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)"
ROLE = """
SELECT current_user::text, r.rolsuper, has_schema_privilege(current_schema(), 'CREATE'),
    current_schema()::text, pg_is_in_recovery(), getdatabaseencoding()::text,
    (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), inet_server_addr()::text,
    current_database()::text
FROM pg_roles r WHERE r.rolname = current_user
"""
CONNECTIONS = """
SELECT (SELECT setting::int FROM pg_settings WHERE name = 'max_connections')
    - (SELECT setting::int FROM pg_settings WHERE name = 'superuser_reserved_connections'),
    count(*) FILTER (WHERE pid <> pg_backend_pid()),
    count(*) FILTER (
        WHERE state = 'idle in transaction' AND state_change < now() - interval '5 min')
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""
STATE = """
SELECT c.relname, c.relpersistence = 'u', c.relrowsecurity,
    coalesce(array_to_string(c.reloptions, ','), '') LIKE '%autovacuum_enabled=false%',
    ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
          WHERE NOT has_table_privilege(c.oid, p)),
    ARRAY(SELECT t.tgname::text FROM pg_trigger t
          WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D')
FROM pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2)
ORDER BY c.relname
"""
# Columns by which queries look up rows of the backend's tables, and what those queries are for.
LOOK_UPS = {
    ("users_auth", "user_id"): "log-ins",
    ("user_profile_info", "user_id"): "names",
    ("jwt_revocation", "jti"): "log-ins",
    ("blocked_relationships", "blocker_id"): "every message",
    ("blocked_relationships", "blocked_id"): "who is online",
    ("user_follows", "follower_id"): "who is online",
    ("user_follows", "followee_id"): "who is online",
}
LEADING = """
SELECT EXISTS (
    SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0]
    WHERE x.indrelid = to_regclass($1) AND a.attname = $2 AND x.indisvalid AND x.indpred IS NULL)
"""
COLUMN = """
SELECT format_type(a.atttypid, NULL), has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_attribute a
WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
"""
PLAINTEXT = """
SELECT EXISTS (
    SELECT FROM chat_messages WHERE is_encrypted AND content IS NOT NULL AND content <> '')
"""
READABLE = "SELECT EXISTS (SELECT FROM chat_messages WHERE NOT is_encrypted)"
MEANINGS = {
    "users_auth": "only users of chat_users can log in",
    "user_profile_info": "users have no names but their usernames",
    "jwt_revocation": "only the main backend's API can revoke tokens",
    "blocked_relationships": "nobody is blocked",
    "user_follows": "nobody follows anybody",
}


class Doctor:
    """Looks at one database.

    Attributes:
        findings: What was found so far.
    """

    def __init__(self, connection: "Connection", config: Config) -> None:
        """Take a connection, of the role that the server has, and its settings."""
        self._connection = connection
        self._config = config
        self._schema = "public"
        self._role = ""
        self.findings: list[Finding] = []

    def note(self, level: str, subject: str, found: str, fix: str = "") -> None:
        """Write one finding down."""
        self.findings.append(Finding(level, subject, found, fix))

    async def examine(self) -> None:
        """Look at everything.

        Raises:
            asyncpg.PostgresError: something could not be asked.
        """
        await self._connection.execute(f"SET statement_timeout = '{LOOK}'")
        await self._examine_server()
        await self._examine_settings()
        await self._examine_connections()
        if await self._examine_versions():
            await self._examine_tables()
            await self._examine_texts()
        for table, columns in backend.REQUIRED.items():
            await self._examine_backend_table(table, columns)
        await self._examine_types()

    async def _examine_server(self) -> None:
        version = self._connection.get_server_version()
        level = "ok" if version.major >= OLDEST_POSTGRES else "FAIL"
        wanted = "" if level == "ok" else f", expected {OLDEST_POSTGRES} or later"
        self.note(level, "database", f"PostgreSQL {version.major}.{version.minor} answers{wanted}")
        row = await self._connection.fetchrow(ROLE)
        role, is_super, may_create, schema, is_replica, encoding, has_tls, address, name = row
        self._role, self._schema = _quoted(role), schema or "public"
        if is_replica:
            self.note("FAIL", "database", "is a replica, expected the server that it copies")
        if encoding != "UTF8":
            self.note(
                "FAIL",
                "database",
                f"its encoding is {encoding}, expected UTF8",
                f"CREATE DATABASE {_quoted(name + '_utf8')} ENCODING 'UTF8' TEMPLATE template0;",
            )
        if schema is None:
            self.note(
                "FAIL",
                "schema",
                "the search path of the role leads to none",
                f"ALTER ROLE {self._role} SET search_path = public;",
            )
        if is_super:
            self.note(
                "warn",
                f"role {role}",
                "is a superuser, expected one that owns this database only",
                "CREATE ROLE fastchat LOGIN PASSWORD '…';\n"
                f"ALTER DATABASE {_quoted(name)} OWNER TO fastchat;\n"
                f"GRANT CREATE, USAGE ON SCHEMA {_quoted(self._schema)} TO fastchat;\n"
                "GRANT SELECT ON users_auth, user_profile_info, jwt_revocation,"
                " blocked_relationships, user_follows TO fastchat;",
            )
        elif not may_create:
            self.note(
                "note",
                f"role {role}",
                "may not create tables: another role has to run"
                " what `fastchat migrate --sql` prints before a new version starts",
            )
        if not has_tls and address not in (None, "127.0.0.1/32", "::1/128", "127.0.0.1", "::1"):
            self.note(
                "warn",
                "connection",
                "not encrypted, and the database is on another machine; expected DB_SSL=true",
            )

    async def _examine_settings(self) -> None:
        names = [*SAFE, "min_wal_size"]
        found = dict(await self._connection.fetch(SETTINGS, names))
        for name, (wanted, reason, level) in SAFE.items():
            value = found.get(name, wanted)
            good = {"synchronous_commit": LEVELS_OF_COMMIT, "wal_compression": COMPRESSED}
            if value not in good.get(name, {wanted}):
                fix = f"ALTER SYSTEM SET {name} = {wanted};\nSELECT pg_reload_conf();"
                self.note(level, name, f"is {value}, expected {wanted}: {reason}", fix)
        if int(found.get("min_wal_size", SMALLEST_WAL)) < SMALLEST_WAL:
            self.note(
                "note",
                "min_wal_size",
                f"is {found['min_wal_size']} MB, expected 1 to 4 GB:"
                " new files of the log make the slowest answers slower",
                "ALTER SYSTEM SET min_wal_size = '1GB';\n"
                "ALTER SYSTEM SET max_wal_size = '4GB';\n"
                "SELECT pg_reload_conf();",
            )

    async def _examine_connections(self) -> None:
        most, used, stuck = await self._connection.fetchrow(CONNECTIONS)
        wanted = self._config.db_max_connections + SPARE
        if most < wanted:
            fix = f"ALTER SYSTEM SET max_connections = {wanted + 50};  -- then restart PostgreSQL"
            self.note(
                "FAIL",
                "max_connections",
                f"leaves {most}, expected {wanted} for"
                f" DB_MAX_CONNECTIONS={self._config.db_max_connections}",
                fix,
            )
        else:
            self.note("ok", "connections", f"{used} of {most} are used")
        if stuck:
            fix = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity\n"
                "WHERE state = 'idle in transaction' AND state_change < now() - interval '5 min';"
            )
            self.note(
                "warn",
                "connections",
                f"{stuck} are idle in transactions for five minutes: nothing is vacuumed",
                fix,
            )

    async def _examine_versions(self) -> bool:
        """Say which version the schema has; tell whether there is anything to look at."""
        newest = migrations.load()[-1].version
        found = await migrations.version(self._connection)
        if found > newest:
            self.note("FAIL", "schema", f"version {found} is of a later fastchat than {newest}")
            return False
        try:
            pending = await migrations.pending_sql(self._connection)
        except migrations.MigrationError as error:
            self.note("FAIL", "schema", str(error))
            return found > 0
        if found == newest:
            self.note("ok", "schema", f"version {found}")
        else:
            text = f"version {found}, expected {newest}" if found else "no tables yet"
            self.note("FAIL", "schema", text, pending.strip() if found else "-- fastchat migrate")
        return found == newest

    async def _examine_tables(self) -> None:
        wanted = catalog.expected()
        found = await catalog.read(self._connection, self._schema, list(wanted))
        differences = list(catalog.compare(found, wanted))
        for one in differences:
            self.note("note" if one.is_slow else "FAIL", one.subject, one.found, one.sql)
        if not differences:
            self.note("ok", "tables", f"{len(wanted)} are as they should be")
        for row in await self._connection.fetch(STATE, self._schema, list(wanted)):
            self._judge_state(*row)

    def _judge_state(
        self,
        table: str,
        is_unlogged: bool,
        has_row_security: bool,
        is_never_vacuumed: bool,
        missing: Sequence[str],
        triggers: Sequence[str],
    ) -> None:
        subject, alter = f"table {table}", f"ALTER TABLE {table}"
        if is_unlogged:
            self.note("FAIL", subject, "is not logged: a crash empties it", f"{alter} SET LOGGED;")
        if has_row_security:
            self.note(
                "FAIL",
                subject,
                "hides rows (row level security)",
                f"{alter} DISABLE ROW LEVEL SECURITY;",
            )
        if is_never_vacuumed:
            self.note(
                "warn",
                subject,
                "is never vacuumed by itself, and grows for ever",
                f"{alter} RESET (autovacuum_enabled);",
            )
        if missing:
            names = ", ".join(missing)
            self.note(
                "FAIL",
                subject,
                f"the role may not {names}",
                f"GRANT {names} ON {table} TO {self._role};",
            )
        for trigger in triggers:
            self.note(
                "warn",
                subject,
                f"the trigger {trigger} runs with every change",
                f"{alter} DISABLE TRIGGER {_quoted(trigger)};",
            )

    async def _examine_texts(self) -> None:
        clear = (
            "UPDATE chat_messages SET content = NULL WHERE is_encrypted AND content IS NOT NULL;"
        )
        for query, level, text, fix in (
            (PLAINTEXT, "FAIL", "text that can be read stands beside its encryption", clear),
            (READABLE, "warn", "some messages are stored readable", ""),
        ):
            try:
                if await self._connection.fetchval(query):
                    self.note(level, "table chat_messages", text, fix)
            except asyncpg.QueryCanceledError:
                self.note(
                    "note",
                    "table chat_messages",
                    f"too large to be searched for readable text within {LOOK}",
                )
            except asyncpg.UndefinedColumnError:
                return  # said already

    async def _examine_backend_table(self, table: str, columns: Sequence[str]) -> None:
        if not await self._connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table):
            level = "FAIL" if table == "users_auth" else "note"
            self.note(
                level, f"table {table}", f"is missing: {MEANINGS[table]}", _create(table, columns)
            )
            return
        for column in columns:
            row = await self._connection.fetchrow(COLUMN, table, column)
            subject = f"column {table}.{column}"
            if row is None:
                self.note(
                    "FAIL",
                    subject,
                    f"is missing: {MEANINGS[table]}",
                    f"ALTER TABLE {table} ADD COLUMN {column} text;",
                )
            elif not row[1]:
                self.note(
                    "FAIL",
                    subject,
                    f"may not be read: {MEANINGS[table]}",
                    f"GRANT SELECT ON {table} TO {self._role};",
                )
            elif (table, column) in LOOK_UPS and not await self._connection.fetchval(
                LEADING, table, column
            ):
                self.note(
                    "warn",
                    subject,
                    f"no index begins with it, and {LOOK_UPS[table, column]} reads the whole table",
                    f"CREATE INDEX CONCURRENTLY ON {table} ({column});",
                )

    async def _examine_types(self) -> None:
        """Let the look that the server takes at its start have its say."""
        try:
            tables = await backend.detect(self._connection)
        except backend.BackendError as error:
            self.note("FAIL", "ids", str(error), await self._mend_types())
            return
        types = (
            tables.id_type,
            tables.profile_id_type,
            tables.blocks_id_type,
            tables.follows_id_type,
        )
        known = sorted({one for one in types if one is not None})
        if len(known) > 1:
            self.note(
                "warn",
                "ids",
                f"of users are {' and '.join(known)}, expected one type",
                await self._mend_types(),
            )
        elif known:
            self.note("ok", "ids", f"of users are {known[0]}")

    async def _mend_types(self) -> str:
        """Return the SQL that gives all ids of users one type: that of ``users_auth``."""
        found = await self._connection.fetchrow(COLUMN, "users_auth", "user_id")
        wanted = "bigint" if found is None or found[0] not in backend.ID_TYPES else found[0]
        lines = []
        for table, column in LOOK_UPS:
            row = await self._connection.fetchrow(COLUMN, table, column)
            if row is not None and column != "jti" and row[0] != wanted:
                lines.append(
                    f"ALTER TABLE {table} ALTER COLUMN {column}"
                    f" TYPE {wanted} USING {column}::text::{wanted};"
                )
            elif (
                row is not None
                and column == "jti"
                and row[0] not in (*backend.ID_TYPES, "character varying")
            ):
                lines.append(f"ALTER TABLE {table} ALTER COLUMN jti TYPE text USING jti::text;")
        return "\n".join(lines)


def _create(table: str, columns: Sequence[str]) -> str:
    ids = [column for column in columns if column in backend.IDS]
    kind = "text" if table == "jwt_revocation" else "bigint"
    lines = [f"{column} {kind if column in ids else 'text'}" for column in columns]
    return f"CREATE TABLE {table} ({', '.join(lines)}, PRIMARY KEY ({', '.join(ids)}));"


def _quoted(name: str) -> str:
    return (
        name
        if name.isidentifier() and name == name.lower()
        else '"' + name.replace('"', '""') + '"'
    )
