"""Benchmarks use the tests' database, and only run on compiled kernels."""

from fastchat import _speedups

pytest_plugins = ["tests.conftest"]

assert _speedups.COMPILED, "build the extensions first: make build"
