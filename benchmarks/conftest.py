"""Benchmarks use the tests' database, and only run on compiled kernels."""

import pytest

from fastchat import _speedups

pytest_plugins = ["tests.conftest"]

assert _speedups.COMPILED, "build the extensions first: make build"


@pytest.fixture(scope="session")
def is_durable():
    """A figure is worth something only where what is committed lasts, as in production."""
    return True
