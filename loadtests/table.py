"""Figures as a CSV file: one line of names with their units, then one line for each variant."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

DIGITS = 4  # more than a measurement is worth


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[float | str]]) -> None:
    """Write a file anew, and its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([rounded(value) for value in row])
    print(f"written: {path}")


def rounded(value: float | str) -> str:
    """Return a value as it stands in a file: whole numbers and words as they are."""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}" if abs(value) < 10**DIGITS else f"{value:.0f}"
    return str(value)
