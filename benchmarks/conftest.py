"""Benchmarks use the tests' database, and only run on compiled kernels."""

import pytest

from fastchat import _speedups

pytest_plugins = ["tests.conftest"]

assert _speedups.COMPILED, "build the extensions first: make build"


@pytest.fixture(scope="session")
def postgres_settings():
    """Nothing else than in production: a figure is worth something only where COMMIT lasts."""
    return {}
