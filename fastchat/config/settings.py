"""The table of all settings; the parser, ``fastchat config`` and the documents come from it."""

from dataclasses import dataclass

from fastchat.config.kinds import (
    BOOLEAN,
    DATABASE_URL,
    JWT_SECRET,
    KEY_RING,
    MOST,
    NETWORKS,
    ORIGINS,
    PATH,
    PICTURE_URL,
    READABLE_FILE,
    REDIS_URL,
    SECRET_TEXT,
    WEBHOOK_SECRET,
    WEBHOOK_URL,
    Kind,
    choice,
    milliseconds,
    text,
    whole,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable.

    ``default`` is what one would write in the environment, ``None``: nothing; ``default_note``
    stands for it in documents where it depends on something. A ``secret`` value is never shown.
    """

    name: str
    default: str | None
    kind: Kind
    meaning: str
    secret: bool = False
    default_note: str = ""

    @property
    def field(self) -> str:
        """The field of Config."""
        return self.name.lower().removesuffix("_ms")


_SERVER = (
    Setting("HOST", "0.0.0.0", text("address"), "address to listen on"),
    Setting(
        "PORT", "3001", whole(0, 65535, "port"), "port for WebSocket and HTTP; 0: any free one"
    ),
    Setting(
        "NODE_ENV",
        "production",
        choice("production", "development"),
        "`production`, or `development`: embedded database, generated secrets, demo users",
    ),
    Setting(
        "WEB_CONCURRENCY",
        "1",
        whole(1, 1024, "count"),
        "worker processes, best one per core",
    ),
    Setting(
        "MAX_CONNECTIONS", "50", whole(1, 10_000_000, "count"), "WebSocket connections per worker"
    ),
    Setting(
        "MAX_CONNECTIONS_PER_IP",
        "10",
        whole(1, 10_000_000, "count"),
        "WebSocket connections from one IP address",
    ),
    Setting(
        "MAX_PAYLOAD_SIZE",
        "1048576",
        whole(1024, 268_435_456, "bytes"),
        "largest message, after reassembly and inflating",
    ),
    Setting(
        "KEEP_ALIVE_TIMEOUT",
        "60000",
        milliseconds(1),
        "silence after which a WebSocket ping is sent",
    ),
    Setting(
        "CONNECTION_TIMEOUT",
        "300000",
        milliseconds(1),
        "a connection without messages is closed after this",
    ),
    Setting("AUTH_TIMEOUT", "10000", milliseconds(1), "deadline for `authenticate`"),
    Setting("SHUTDOWN_TIMEOUT", "30000", milliseconds(0), "time to drain on SIGTERM"),
    Setting("TRUSTED_PROXIES", None, NETWORKS, "networks whose `X-Forwarded-For` is believed"),
    Setting(
        "ALLOWED_ORIGINS",
        None,
        ORIGINS,
        "comma-separated origins of browsers that may connect",
        default_note="any",
    ),
    Setting(
        "DEMO_PAGE",
        None,
        BOOLEAN,
        "serve the demo page at `/demo`",
        default_note="`true` in development, else `false`",
    ),
)
_LIMITS = (
    Setting(
        "MESSAGE_RATE_LIMIT",
        "240",
        whole(1, MOST, "per 60 s"),
        "messages per user, and per connection; twice as many when long",
    ),
    Setting("COMMAND_RATE_LIMIT", "1200", whole(1, MOST, "per 60 s"), "other commands per user"),
    Setting(
        "IP_RATE_LIMIT",
        "3000",
        whole(1, MOST, "per 15 min"),
        "connections and HTTP requests per IP address",
    ),
    Setting("MAX_MESSAGE_LENGTH", "10000", whole(1, 1_000_000, "characters"), "longest message"),
    Setting(
        "MAX_GROUP_MEMBERS",
        "500",
        whole(2, 1_000_000, "count"),
        "the most that `maxMembers` may ask for",
    ),
)
_CHAT = (
    Setting("EDIT_WINDOW", "300000", milliseconds(0), "how long a message may be edited"),
    Setting(
        "PRESENCE_SCOPE",
        "all",
        choice("all", "contacts", "none"),
        "who is told that a user is online: `all`, `contacts`, `none`",
    ),
    Setting(
        "OFFLINE_GRACE_PERIOD_MS",
        "60000",
        milliseconds(0),
        "a user counts as online for this long after the last connection closed",
    ),
    Setting(
        "EVENT_DELIVERY_DELAY",
        "10",
        milliseconds(0),
        "pause between queued events; 0: all in one write",
    ),
    Setting(
        "PROFILE_PICTURE_URL_TEMPLATE",
        None,
        PICTURE_URL,
        "such as `https://example.com/pfp/{type}/{id}`",
    ),
)
_DATABASE = (
    Setting(
        "DATABASE_URL",
        None,
        DATABASE_URL,
        "`postgresql://USER:PASSWORD@HOST:PORT/NAME`; wins over the `DB_HOST` family",
        secret=True,
    ),
    Setting("DB_HOST", None, text("host"), "database host"),
    Setting("DB_PORT", "5432", whole(1, 65535, "port"), "database port"),
    Setting("DB_NAME", None, text("name"), "database name"),
    Setting("DB_USER", None, text("name"), "database user"),
    Setting("DB_PASS", None, SECRET_TEXT, "database password", secret=True),
    Setting(
        "DB_SSL",
        "true",
        BOOLEAN,
        "TLS to the database; `false` turns it off. To check who answers, name an authority in"
        " `DATABASE_URL`: `?sslmode=verify-full&sslrootcert=FILE`",
    ),
    Setting(
        "DB_MAX_CONNECTIONS",
        "10",
        whole(2, 10_000, "count"),
        "database connections at most, over all workers, those of their writers included",
    ),
    Setting(
        "DB_MIN_CONNECTIONS",
        "2",
        whole(0, 10_000, "count"),
        "database connections kept open, over all workers",
    ),
    Setting(
        "DB_IDLE_TIMEOUT",
        "30000",
        milliseconds(0),
        "an idle database connection is closed after this; 0: never",
    ),
    Setting(
        "DB_CONNECTION_TIMEOUT",
        "2000",
        milliseconds(1),
        "deadline for a connection to the database",
    ),
    Setting(
        "DB_STATEMENT_TIMEOUT",
        "30000",
        milliseconds(1),
        "deadline for a statement, kept by the database",
    ),
    Setting("DB_QUERY_TIMEOUT", "30000", milliseconds(1), "deadline for a query, kept by fastchat"),
    Setting(
        "BLOCK_CHECK_FAIL_OPEN",
        "true",
        BOOLEAN,
        "let a message pass when only the look-up of blocks fails; counted and logged",
    ),
)
_REDIS = (
    Setting(
        "REDIS_URL", None, REDIS_URL, "Redis between the workers of several hosts", secret=True
    ),
    Setting("REDISCLOUD_URL", None, REDIS_URL, "used when `REDIS_URL` is not set", secret=True),
    Setting(
        "REDISTOGO_URL", None, REDIS_URL, "used when neither of the two above is set", secret=True
    ),
)
_SECURITY = (
    Setting(
        "JWT_SECRET",
        None,
        JWT_SECRET,
        "key of the tokens (HS256), shared with the main backend, at least 32 bytes",
        secret=True,
        default_note="required; generated in development",
    ),
    Setting(
        "REVOCATION_CHECK_INTERVAL",
        "10000",
        milliseconds(1),
        "how often live sessions are checked against `jwt_revocation`",
    ),
    Setting(
        "CHAT_ENCRYPTION_KEY",
        None,
        SECRET_TEXT,
        "key of the stored messages, best 32 random characters, not the JWT secret",
        secret=True,
        default_note="required; generated in development",
    ),
    Setting(
        "CHAT_ENCRYPTION_KEYS",
        None,
        KEY_RING,
        "key ring: the first encrypts, all decrypt",
        secret=True,
    ),
    Setting("CHAT_ENCRYPTION_SALT", "salt", SECRET_TEXT, "salt of the key derivation"),
    Setting("ENCRYPTION_FORMAT", "cbc", choice("cbc", "gcm"), "format of new rows: `cbc` or `gcm`"),
    Setting(
        "ENCRYPTION_FALLBACK_PLAINTEXT",
        "false",
        BOOLEAN,
        "store a message in plaintext when its encryption fails; off, it is refused",
    ),
)
_BACKEND = (
    Setting(
        "WEBHOOK_URL",
        None,
        WEBHOOK_URL,
        "where the main backend hears of messages for users who are away, and of who comes and"
        " goes; not set: it is told nothing",
        secret=True,
    ),
    Setting(
        "WEBHOOK_SECRET",
        None,
        WEBHOOK_SECRET,
        "key of the signatures, at least 32 bytes; required with `WEBHOOK_URL`",
        secret=True,
    ),
    Setting(
        "SYSTEM_USER_ID",
        "system",
        text("id"),
        "user whom messages of the system are from; made in `chat_users` where nobody has this id",
    ),
)
_TLS = (
    Setting("TLS_KEY", None, READABLE_FILE, "private key; with `TLS_CERT` the port speaks TLS"),
    Setting("TLS_CERT", None, READABLE_FILE, "certificate"),
    Setting("TLS_CA", None, READABLE_FILE, "certificates of the authority"),
)
_LOGS = (
    Setting(
        "LOG_LEVEL",
        "info",
        choice("debug", "info", "warning", "error"),
        "least severe level that is logged: `debug`, `info`, `warning`, `error`",
    ),
    Setting(
        "LOG_FORMAT",
        None,
        choice("json", "text"),
        "`json` or `text`",
        default_note="`json` in production, else `text`",
    ),
    Setting(
        "FASTCHAT_DATA_DIR",
        ".fastchat",
        PATH,
        "where the embedded database and the generated secrets live",
    ),
)

SECTIONS = {
    "Server": _SERVER,
    "Limits": _LIMITS,
    "Chat": _CHAT,
    "Database": _DATABASE,
    "Redis": _REDIS,
    "Security": _SECURITY,
    "Main backend": _BACKEND,
    "TLS": _TLS,
    "Logs and files": _LOGS,
}
SETTINGS = tuple(setting for settings in SECTIONS.values() for setting in settings)
REDIS_NAMES = ("REDIS_URL", "REDISCLOUD_URL", "REDISTOGO_URL")  # the first one set is used
