"""Going through a large collection a slice at a time, so that the event loop is free in between."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

SLICE = 1000  # entries, far less than a millisecond of work


def in_slices(keys: Collection[T]) -> Iterator[list[T]]:
    """Yield what a collection holds now, in lists of at most ``SLICE``; it may change meanwhile."""
    rest = iter(list(keys))
    while part := list(islice(rest, SLICE)):
        yield part
