"""The settings: names, defaults, units, contradictions, and secrets that stay secret."""

import base64
import dataclasses

import pytest

from fastchat.config import DOCUMENTED_ENCRYPTION_KEY, Config, ConfigError, load
from fastchat.config.settings import REDIS_NAMES, SETTINGS

SECRET = base64.b64encode(bytes(range(48))).decode()
PRODUCTION = {
    "JWT_SECRET": SECRET,
    "CHAT_ENCRYPTION_KEY": "k" * 32,
    "DATABASE_URL": "postgresql://chat:hunter2@db.example/chat",
}
DEVELOPMENT = {"NODE_ENV": "development"}

# Names, defaults and units as the requirements and the protocol print them.
PUBLISHED = {
    "WEBHOOK_URL": "",
    "WEBHOOK_SECRET": b"",
    "SYSTEM_USER_ID": "system",
    "PORT": 3001,
    "NODE_ENV": "production",
    "MAX_CONNECTIONS": 50,
    "MAX_PAYLOAD_SIZE": 1048576,
    "KEEP_ALIVE_TIMEOUT": 60.0,
    "CONNECTION_TIMEOUT": 300.0,
    "MAX_CONNECTIONS_PER_IP": 10,
    "MESSAGE_RATE_LIMIT": 240,
    "DATABASE_URL": "",
    "DB_HOST": "",
    "DB_PORT": 5432,
    "DB_NAME": "",
    "DB_USER": "",
    "DB_PASS": "",
    "DB_SSL": True,
    "DB_MAX_CONNECTIONS": 10,
    "DB_MIN_CONNECTIONS": 2,
    "DB_IDLE_TIMEOUT": 30.0,
    "DB_CONNECTION_TIMEOUT": 2.0,
    "DB_STATEMENT_TIMEOUT": 30.0,
    "DB_QUERY_TIMEOUT": 30.0,
    "REDIS_URL": "",
    "JWT_SECRET": b"",
    "CHAT_ENCRYPTION_KEY": "",
    "TLS_KEY": "",
    "TLS_CERT": "",
    "TLS_CA": "",
    "HOST": "0.0.0.0",
    "WEB_CONCURRENCY": 1,
    "AUTH_TIMEOUT": 10.0,
    "OFFLINE_GRACE_PERIOD_MS": 60.0,
    "EVENT_DELIVERY_DELAY": 0.01,
    "EDIT_WINDOW": 300.0,
    "COMMAND_RATE_LIMIT": 1200,
    "REVOCATION_CHECK_INTERVAL": 10.0,
    "IP_RATE_LIMIT": 3000,
    "MAX_MESSAGE_LENGTH": 10000,
    "MAX_GROUP_MEMBERS": 500,
    "PRESENCE_SCOPE": "all",
    "TRUSTED_PROXIES": (),
    "ALLOWED_ORIGINS": (),
    "DEMO_PAGE": True,
    "SHUTDOWN_TIMEOUT": 30.0,
    "CHAT_ENCRYPTION_KEYS": (),
    "CHAT_ENCRYPTION_SALT": "salt",
    "ENCRYPTION_FORMAT": "cbc",
    "ENCRYPTION_FALLBACK_PLAINTEXT": False,
    "BLOCK_CHECK_FAIL_OPEN": True,
    "PROFILE_PICTURE_URL_TEMPLATE": "",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "text",
}


def problems_of(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(environ)
    return caught.value.problems


@pytest.mark.parametrize(("name", "value"), PUBLISHED.items())
def test_every_published_variable_has_its_published_default(name, value):
    config = load(DEVELOPMENT if name != "NODE_ENV" else PRODUCTION)
    found = getattr(config, name.lower().removesuffix("_ms"))
    assert (found, type(found)) == (value, type(value))


def test_table_and_fields_name_the_same_settings():
    of_table = {s.field for s in SETTINGS if s.name not in REDIS_NAMES[1:]}
    of_config = {field.name for field in dataclasses.fields(Config)} - {"warnings"}
    assert of_table == of_config
    assert set(PUBLISHED) | {"REDISCLOUD_URL", "REDISTOGO_URL", "FASTCHAT_DATA_DIR"} == {
        s.name for s in SETTINGS
    }


def test_production_starts_with_the_required_settings_alone():
    config = load(PRODUCTION)
    assert not config.is_development
    assert config.jwt_secret == bytes(range(48))
    assert config.log_format == "json"
    assert not config.demo_page


def test_production_names_everything_that_is_missing_at_once():
    problems = problems_of()
    assert [line.split(":")[0] for line in problems] == [
        "JWT_SECRET",
        "CHAT_ENCRYPTION_KEY",
        "DATABASE_URL",
    ]


def test_development_needs_nothing_and_uses_the_embedded_database():
    assert load(DEVELOPMENT).uses_embedded_database
    assert not load(DEVELOPMENT | {"DATABASE_URL": "postgres://h/n"}).uses_embedded_database


def test_empty_and_blank_variables_count_as_unset():
    config = load(DEVELOPMENT | {"PORT": "", "DB_SSL": "  ", "DATABASE_URL": ""})
    assert config == load(DEVELOPMENT)


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(DEVELOPMENT).port = 1  # type: ignore[misc]


def test_all_wrong_settings_are_reported_with_what_was_found_and_expected():
    problems = problems_of(**PRODUCTION, PORT="x", AUTH_TIMEOUT="10s", PRESENCE_SCOPE="some")
    assert set(problems) == {
        "PORT='x': expected a whole number from 0 to 65535",
        "AUTH_TIMEOUT='10s': expected a whole number from 1 to 2147483647 ms",
        "PRESENCE_SCOPE='some': expected one of all, contacts, none",
    }


@pytest.mark.parametrize("text", ["65536", "-1", "1.0", "٣٠٠١", "3_001", "0x10", "1e3", "9" * 5000])
def test_number_that_is_not_plain_or_in_range_is_refused(text):
    assert problems_of(**DEVELOPMENT, PORT=text)[0].startswith("PORT=")


@pytest.mark.parametrize(
    ("text", "value"), [("TRUE", True), ("0", False), ("no", False), ("on", True)]
)
def test_boolean_has_the_usual_spellings(text, value):
    assert load(DEVELOPMENT | {"DB_SSL": text}).db_ssl is value


def test_boolean_of_another_spelling_is_refused():
    assert problems_of(**DEVELOPMENT, DB_SSL="maybe") == ("DB_SSL='maybe': expected true or false",)


def test_too_few_database_connections_for_the_workers_are_refused_with_what_is_needed():
    (problem,) = problems_of(**DEVELOPMENT, WEB_CONCURRENCY="4")
    assert problem == (
        "DB_MAX_CONNECTIONS=10: expected at least 12, 3 for each of WEB_CONCURRENCY=4 workers"
    )


def test_one_worker_is_content_with_two_database_connections():
    config = load(DEVELOPMENT | {"DB_MAX_CONNECTIONS": "2"}).for_one_worker()
    assert config.db_max_connections == 2


@pytest.mark.parametrize(
    ("workers", "most", "least"), [(1, 10, 3), (2, 5, 2), (3, 3, 1), (5, 2, 1)]
)
def test_database_connections_are_divided_among_the_workers(workers, most, least):
    config = dataclasses.replace(
        load(DEVELOPMENT | {"DB_MIN_CONNECTIONS": "3"}), web_concurrency=workers
    )
    share = config.for_one_worker()
    assert (share.db_max_connections, share.db_min_connections) == (most, least)
    assert share.db_max_connections * config.web_concurrency <= config.db_max_connections


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "ws://127.0.0.1:5"),
        ("::", "ws://127.0.0.1:5"),
        ("::1", "ws://[::1]:5"),
        ("a.example", "ws://a.example:5"),
    ],
)
def test_url_is_one_that_this_machine_can_connect_to(host, url):
    assert load(DEVELOPMENT | {"HOST": host}).url_at(5) == url


@pytest.mark.parametrize("secret", ["not base64!", base64.b64encode(b"short").decode(), "żółć"])
def test_weak_or_malformed_jwt_secret_is_refused_and_not_shown(secret):
    (problem,) = problems_of(**PRODUCTION | {"JWT_SECRET": secret})
    assert problem.startswith(f"JWT_SECRET ({len(secret)} characters, not shown): expected base64")
    assert secret not in problem


def test_published_encryption_key_is_refused_in_production_only():
    given = {"CHAT_ENCRYPTION_KEY": DOCUMENTED_ENCRYPTION_KEY}
    (problem,) = problems_of(**PRODUCTION | given)
    assert problem.startswith("CHAT_ENCRYPTION_KEY: is the published example")
    assert load(DEVELOPMENT | given).chat_encryption_key == DOCUMENTED_ENCRYPTION_KEY


def test_published_encryption_key_is_refused_inside_the_key_ring():
    keys = f"new:{'n' * 32},old:{DOCUMENTED_ENCRYPTION_KEY}"
    (problem,) = problems_of(**PRODUCTION, CHAT_ENCRYPTION_KEYS=keys)
    assert problem.startswith("CHAT_ENCRYPTION_KEYS, key 'old': is the published example")


@pytest.mark.parametrize("key", [SECRET, "  " + SECRET])
def test_encryption_key_equal_to_the_jwt_secret_is_refused(key):
    (problem,) = problems_of(**PRODUCTION | {"CHAT_ENCRYPTION_KEY": key})
    assert "equals JWT_SECRET" in problem
    assert SECRET not in problem


def test_encryption_key_equal_to_the_decoded_jwt_secret_is_refused():
    key = "s" * 40
    given = {"CHAT_ENCRYPTION_KEY": key, "JWT_SECRET": base64.b64encode(key.encode()).decode()}
    assert "equals JWT_SECRET" in problems_of(**PRODUCTION | given)[0]


def test_key_ring_keeps_order_and_colons_inside_keys():
    config = load(PRODUCTION | {"CHAT_ENCRYPTION_KEYS": "b:two:2, a:one"})
    assert config.chat_encryption_keys == (("b", "two:2"), ("a", "one"))


@pytest.mark.parametrize("text", ["nocolon", "a:", ":key", "a:x,a:y", "bad id:x"])
def test_malformed_key_ring_is_refused_and_not_shown(text):
    (problem,) = problems_of(**PRODUCTION, CHAT_ENCRYPTION_KEYS=text)
    assert "expected ID:KEY pairs" in problem
    assert text not in problem


def test_pool_minimum_above_its_maximum_is_refused():
    (problem,) = problems_of(**DEVELOPMENT, DB_MAX_CONNECTIONS="4", DB_MIN_CONNECTIONS="5")
    assert problem == "DB_MIN_CONNECTIONS=5: expected at most DB_MAX_CONNECTIONS=4"


def test_single_database_variables_must_be_complete():
    (problem,) = problems_of(**DEVELOPMENT, DB_HOST="db.example", DB_USER="chat")
    assert problem.startswith("DB_NAME: not set")
    given = {"DB_HOST": "db.example", "DB_NAME": "chat", "DB_USER": "chat"}
    assert load(DEVELOPMENT | given).db_host == "db.example"


@pytest.mark.parametrize("url", ["mysql://h/n", "chat", "postgresql://u:hunter2@h:port/n"])
def test_wrong_database_url_is_refused_and_not_shown(url):
    (problem,) = problems_of(**PRODUCTION | {"DATABASE_URL": url})
    assert problem.startswith(f"DATABASE_URL ({len(url)} characters, not shown)")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("sslmode=verify_full", "sslmode to be one of disable,"),
        ("sslrootcert=/nowhere/ca.pem", "sslrootcert to be a readable file (No such file"),
        ("sslmode=verify-ca&sslkey=/nowhere/key.pem", "sslkey to be a readable file"),
    ],
)
def test_what_a_database_url_says_of_tls_is_wrong_before_the_start(parameters, expected):
    url = f"postgresql://u:hunter2@h/n?{parameters}"
    (problem,) = problems_of(**PRODUCTION | {"DATABASE_URL": url})
    assert f"not shown): expected {expected}" in problem
    assert "hunter2" not in problem


def test_database_url_may_say_how_its_server_is_verified(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("x")
    url = f"postgresql://u@h/n?sslmode=verify-full&sslrootcert={file}"
    assert load(PRODUCTION | {"DATABASE_URL": url}).database_url == url


def test_tls_key_and_certificate_go_together(tmp_path):
    file = tmp_path / "key.pem"
    file.write_text("x")
    assert problems_of(**DEVELOPMENT, TLS_KEY=str(file))[0].startswith("TLS_CERT: not set")
    config = load(DEVELOPMENT | {"TLS_KEY": str(file), "TLS_CERT": str(file), "TLS_CA": str(file)})
    assert config.tls_ca == str(file)
    assert problems_of(**DEVELOPMENT, TLS_CA=str(file))[0].startswith("TLS_CA: set")


def test_unreadable_tls_file_is_one_problem(tmp_path):
    missing = str(tmp_path / "none.pem")
    (problem,) = problems_of(**DEVELOPMENT, TLS_KEY=missing, TLS_CERT=__file__)
    assert problem.startswith("TLS_KEY=")
    assert "No such file" in problem


@pytest.mark.parametrize("given", [0, 1, 2])
def test_first_redis_variable_that_is_set_is_used(given):
    environ = {name: f"redis://{name}" for name in REDIS_NAMES[given:]}
    config = load(DEVELOPMENT | environ)
    assert config.redis_url == f"redis://{REDIS_NAMES[given]}"


def test_wrong_redis_url_is_refused():
    assert "redis://HOST:PORT" in problems_of(**DEVELOPMENT, REDISCLOUD_URL="http://x")[0]
    (problem,) = problems_of(**DEVELOPMENT, REDIS_URL="redis://:hunter2@cache:port")
    assert problem.startswith("REDIS_URL (27 characters, not shown): expected redis://HOST:PORT")
    assert "hunter2" not in problem


def test_trusted_proxies_are_networks():
    config = load(DEVELOPMENT | {"TRUSTED_PROXIES": "10.0.0.0/8, ::1, 192.0.2.7"})
    assert [str(network) for network in config.trusted_proxies] == [
        "10.0.0.0/8",
        "::1/128",
        "192.0.2.7/32",
    ]
    assert "networks such as" in problems_of(**DEVELOPMENT, TRUSTED_PROXIES="10.0.0.1/8")[0]


def test_origins_are_compared_in_lower_case_and_star_means_any():
    config = load(DEVELOPMENT | {"ALLOWED_ORIGINS": "https://Example.com:8443,null"})
    assert config.allowed_origins == ("https://example.com:8443", "null")
    assert load(DEVELOPMENT | {"ALLOWED_ORIGINS": "*"}).allowed_origins == ()
    for text in ("example.com", "https://example.com/", "https://*.example.com"):
        assert "origins such as" in problems_of(**DEVELOPMENT, ALLOWED_ORIGINS=text)[0]


def test_picture_template_knows_two_placeholders():
    name = "PROFILE_PICTURE_URL_TEMPLATE"
    url = "https://example.com/pfp/{type}/{id}"
    assert load(DEVELOPMENT | {name: url}).profile_picture_url_template == url
    for text in ("https://example.com/pfp", "https://e/{id}/{size}", "ftp://e/{id}"):
        assert problems_of(**DEVELOPMENT | {name: text})[0].startswith(name)


def test_any_origin_in_production_is_a_warning():
    assert any(warning.startswith("ALLOWED_ORIGINS") for warning in load(PRODUCTION).warnings)
    restricted = PRODUCTION | {"ALLOWED_ORIGINS": "https://example.com"}
    assert load(restricted).warnings == ()


def test_representation_shows_no_secret():
    config = load(
        PRODUCTION
        | {
            "REDIS_URL": "redis://:hunter3@r",
            "DB_PASS": "hunter4",
            "CHAT_ENCRYPTION_KEYS": "a:hunter5",
        }
    )
    shown = repr(config)
    for secret in ("hunter", "kkkk", SECRET, repr(config.jwt_secret)):
        assert secret not in shown


def test_webhooks_need_an_address_and_a_key_of_their_own():
    key = base64.b64encode(bytes(range(40))).decode()
    address = {"WEBHOOK_URL": "https://example.com/hooks"}
    found = load(PRODUCTION | address | {"WEBHOOK_SECRET": f"whsec_{key}"})
    assert found.webhook_secret == bytes(range(40))
    assert "WEBHOOK_SECRET" in problems_of(**(PRODUCTION | address))[0]
    assert "WEBHOOK_URL" in problems_of(**(PRODUCTION | {"WEBHOOK_SECRET": key}))[0]
    same = PRODUCTION | address | {"WEBHOOK_SECRET": PRODUCTION["JWT_SECRET"]}
    assert "a key of its own" in problems_of(**same)[0]
    for wrong in ("ftp://example.com", "/hooks", "https://"):
        assert "WEBHOOK_URL" in problems_of(**(PRODUCTION | address | {"WEBHOOK_URL": wrong}))[0]
    plain = load(PRODUCTION | {"WEBHOOK_URL": "http://example.com", "WEBHOOK_SECRET": key})
    assert any("WEBHOOK_URL" in warning for warning in plain.warnings)
