"""The plots of the documents are there, and drawn from the figures that are there."""

import csv
import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = sorted((DOCS / "figures").glob("*.csv"))
IMAGE = re.compile(r"!\[([^\]]*)\]\((images/[\w-]+\.svg)\)")
NAMED = IMAGE.findall((DOCS / "performance.md").read_text("utf-8"))
ELEMENTS = "{http://purl.org/dc/elements/1.1/}"
UNITS = re.compile(r"(_ms|_us_per_(message|delivery)|_per_s|_kb|_cores|_messages)$")
# Columns that are counted or named, and not measured.
COUNTS = {"connections", "rows", "turns"}
WORDS = {"job", "server"}


def sources(image):
    """The names of the files that an image says it was drawn from, and their digest."""
    root = ElementTree.parse(DOCS / image).getroot()
    names, digest = (root.findtext(f".//{ELEMENTS}{one}", "") for one in ("source", "identifier"))
    return names.split(), digest


def test_the_performance_page_shows_every_figure():
    drawn = {name for _, image in NAMED for name in sources(image)[0]}
    assert drawn == {path.name for path in FIGURES}


@pytest.mark.parametrize(("text", "image"), NAMED, ids=[image for _, image in NAMED])
def test_plot_is_drawn_from_these_figures_and_described_in_words(text, image):
    names, digest = sources(image)
    found = hashlib.sha256(b"".join((DOCS / "figures" / name).read_bytes() for name in names))
    assert found.hexdigest() == digest, "make plots draws it again"
    assert len(text) > 40


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.name)
def test_figures_are_numbers_with_units(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        for name, value in row.items():
            assert name in WORDS | COUNTS or UNITS.search(name), name
            if name in WORDS:
                assert value
            elif value or name in COUNTS:
                assert float(value) >= 0


@pytest.mark.parametrize("name", ["rows", "connections"])
def test_make_figures_measures_what_is_plotted(name):
    makefile = (DOCS.parent / "Makefile").read_text("utf-8")
    (points,) = re.findall(rf"^figures: {name.upper()} \?= (\S+)$", makefile, re.MULTILINE)
    with open(DOCS / "figures" / f"{name}.csv", newline="") as file:
        assert [row[name] for row in csv.DictReader(file)] == points.split(",")
    assert f"loadtests.scaling --{name} $({name.upper()}) --csv" in makefile
