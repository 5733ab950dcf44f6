"""The URL of a Redis, taken apart."""

import ssl

import pytest

from fastchat.broker.redis_address import RedisAddress

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", RedisAddress(host="cache")),
        (" redis://cache:7000/ ", RedisAddress(host="cache", port=7000)),
        ("redis://CACHE/3", RedisAddress(host="cache", db=3)),
        ("redis://cache?db=4", RedisAddress(host="cache", db=4)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("redis://:p%40ss@cache", RedisAddress(host="cache", password="p@ss")),
        ("redis://me:secret@cache", RedisAddress(host="cache", user="me", password="secret")),
        ("rediss://cache", RedisAddress(host="cache", is_encrypted=True)),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        (
            "unix://me:secret@/run/redis.sock?db=2",
            RedisAddress(path="/run/redis.sock", user="me", password="secret", db=2),
        ),
        (
            "rediss://cache?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem",
            RedisAddress(host="cache", is_encrypted=True, is_verified=False, ca_file="/ca.pem"),
        ),
    ],
)
def test_url_is_taken_apart(url, expected):
    assert RedisAddress.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:6379",
        f"http://:{SECRET}@cache",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}@cache:port",
        f"redis://:{SECRET}@cache:65536",
        f"redis://:{SECRET}@cache:0",
        f"redis://:{SECRET}@cache/first",
        f"redis://:{SECRET}@cache/1/2",
        f"redis://:{SECRET}@cache?db=one",
        f"redis://:{SECRET}@cache#fragment",
        f"redis://:{SECRET}@cache?timeout=3",
        f"redis://:{SECRET}@cache?timeout",
        f"redis://:{SECRET}@cache?ssl_cert_reqs=none",
        f"redis://:{SECRET}@cache?ssl_ca_certs=/ca.pem",
        f"rediss://:{SECRET}@cache?ssl_cert_reqs=sometimes",
        f"unix://:{SECRET}@host/run/redis.sock",
        f"unix://:{SECRET}@",
        "redis://user@cache",
        "redis://[::1",
    ],
)
def test_wrong_url_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="redis") as caught:
        RedisAddress.parse(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_password_is_never_shown():
    address = RedisAddress.parse(f"redis://me:{SECRET}@cache:7000/1")
    assert SECRET not in f"{address} {address!r}"
    assert str(address) == "cache:7000"
    assert str(RedisAddress.parse("unix:///run/redis.sock")) == "/run/redis.sock"
    assert str(RedisAddress(host="::1")) == "[::1]:6379"


def test_password_without_a_user_is_that_of_the_default_user():
    assert RedisAddress.parse("redis://:secret@cache").credentials() == ("default", "secret")
    assert RedisAddress.parse("redis://me:secret@cache").credentials() == ("me", "secret")
    assert RedisAddress.parse("redis://cache").credentials() == ()


def test_another_server_of_the_cluster_takes_the_same_login():
    other = RedisAddress.parse("rediss://me:secret@cache/2").at("10.0.0.7", 7001)
    assert (other.host, other.port, other.credentials()) == ("10.0.0.7", 7001, ("me", "secret"))
    assert other.is_encrypted


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("rediss://cache", ssl.CERT_REQUIRED),
        ("rediss://cache?ssl_cert_reqs=required", ssl.CERT_REQUIRED),
        ("rediss://cache?ssl_cert_reqs=none", ssl.CERT_NONE),
    ],
)
def test_certificate_is_verified_unless_the_url_says_no(url, mode):
    assert RedisAddress.parse(url).tls_context().verify_mode == mode


def test_without_tls_nothing_is_encrypted():
    assert RedisAddress.parse("redis://cache").tls_context() is None
