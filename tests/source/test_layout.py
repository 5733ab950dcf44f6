"""The rules about the shape of the source itself."""

import re
import subprocess
import sys
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("fastchat", "tests", "benchmarks", "loadtests")
MOST_LINES = 500
# The same wherever a clone lies.
ABSOLUTE_PATH = re.compile(r"(?<![\w.}>])/(?:home|root|work|Users)/\w")


def sources(*suffixes):
    found = [p for part in CODE for p in (ROOT / part).rglob("*") if p.suffix in suffixes]
    generated = {p.with_suffix(".c") for p in found if p.suffix == ".pyx"}
    return sorted(path for path in found if path not in generated and path.is_file())


def texts():
    """Everything that people read: code, documents, build files."""
    files = sources(".py", ".pyx", ".pxd", ".pyi", ".sql", ".sh", ".md")
    files += [*scripts(), *(ROOT / "clients").glob("*/README.md")]
    files += [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".ci").iterdir()]
    files += [ROOT / name for name in ("Makefile", "pyproject.toml", "setup.py")]
    return sorted(set(files))


def scripts():
    """The client and the page, without what is generated or comes from elsewhere."""
    found = [p for part in ("clients", "web") for p in (ROOT / part).rglob("*")]
    kinds = {".ts", ".js", ".mjs", ".css", ".html"}
    foreign = {"node_modules", "dist", "protocol.ts"}
    return sorted(p for p in found if p.suffix in kinds and not foreign & set(p.parts))


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*sources(".py", ".pyx", ".pxd"), *scripts()], ids=name_of)
def test_file_has_at_most_500_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [p for p in sources(".py", ".pyx") if p.stem in drawers] == []


@pytest.mark.parametrize("path", texts(), ids=name_of)
def test_text_names_no_path_of_one_machine_and_no_note_to_self(path):
    if path == Path(__file__):
        return
    text = path.read_text("utf-8")
    assert ABSOLUTE_PATH.findall(text) == []
    assert re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", text) == []
    assert re.findall(r"(?i)\bissues? #?\d+\b", text) == []


def test_lock_pins_every_package_and_names_no_host():
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    assert lines
    pinned = r"[\w.-]+==[\w.]+(; python_version < '[\d.]+')?"
    assert [line for line in lines if not re.fullmatch(pinned, line)] == []


def test_lock_covers_what_the_project_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    text = (ROOT / "requirements.lock").read_text("utf-8")
    lines = [line.partition(";")[0] for line in text.splitlines()]
    locked = {canonical(line.split("==")[0]): line.split("==")[1] for line in lines}
    for requirement in wanted:
        name, _, pinned = requirement.partition(";")[0].partition("==")
        name = canonical(re.split(r"[<>=]", name)[0])
        assert name in locked, requirement
        assert not pinned or locked[name] == pinned, requirement


def canonical(name):
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def test_only_the_settings_and_the_command_read_the_environment():
    allowed = ("fastchat/config", "fastchat/cli", "fastchat/_speedups/__init__.py")
    readers = [
        name_of(path)
        for path in sources(".py", ".pyx")
        if name_of(path).startswith("fastchat/")
        and not name_of(path).startswith(allowed)
        and re.search(r"\bos\.(?:getenv|environ)\b", path.read_text("utf-8"))
    ]
    # The launcher of the embedded database passes a clean environment on.
    assert set(readers) <= {"fastchat/store/embedded.py"}


def test_imports_point_inwards():
    # In a process of its own: it configures logging anew and switches existing loggers off.
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_every_extension_is_loaded_compiled():
    names = [path.stem for path in (ROOT / "fastchat/_speedups").glob("*.pyx")]
    assert names
    for name in names:
        spec = find_spec(f"fastchat._speedups.{name}")
        assert spec is not None, name
        assert spec.origin.endswith(tuple(EXTENSION_SUFFIXES)), name


def test_package_uses_the_compiled_kernels():
    from fastchat import _speedups

    assert _speedups.COMPILED
