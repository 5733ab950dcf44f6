from fastchat.store.cache import LruCache


def test_drops_the_value_that_was_not_used_for_longest():
    cache = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.get("a")
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert len(cache) == 2


def test_a_value_is_gone_when_it_reaches_its_age():
    cache = LruCache(2, max_age=10.0)
    cache.put("a", 1, now=100.0)
    assert cache.get("a", now=109.9) == 1
    assert cache.get("a", now=110.0) is None
    assert len(cache) == 0


def test_reading_a_value_does_not_make_it_younger():
    cache = LruCache(2, max_age=10.0)
    cache.put("a", 1, now=100.0)
    cache.get("a", now=105.0)
    assert cache.get("a", now=112.0) is None


def test_counts_hits_and_misses():
    cache = LruCache(2)
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    assert (cache.hits, cache.misses) == (1, 1)


def test_a_forgotten_value_is_gone():
    cache = LruCache(2)
    cache.put("a", 1)
    cache.forget("a")
    cache.forget("b")
    assert cache.get("a") is None
