"""Benchmarks use the tests' database, and only run on compiled kernels."""

from fastchat import _speedups
from tests.conftest import database, postgres, template

__all__ = ["database", "postgres", "template"]

assert _speedups.COMPILED, "build the extensions first: make build"
