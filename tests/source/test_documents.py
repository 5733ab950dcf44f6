"""The documents are true: generated parts, commands, paths and links."""

import re
import tomllib
from pathlib import Path

import pytest

from fastchat import __version__
from fastchat.cli.config import environment_file, markdown, table
from fastchat.config.settings import SETTINGS
from fastchat.errors import AuthFailed, CommandError

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("clients/*/README.md"), *(ROOT / "docs").rglob("*.md")]
)
RULES = "lint-imports` checks this very list"


def read(name):
    return (ROOT / name).read_text("utf-8")


def test_configuration_page_is_what_the_table_generates():
    assert read("docs/configuration.md") == markdown()


@pytest.mark.parametrize("write", [markdown, environment_file, table])
def test_every_shape_of_the_list_names_every_setting(write):
    for setting in SETTINGS:
        assert setting.name in write()


def test_environment_file_sets_nothing_until_something_is_uncommented():
    for line in environment_file().splitlines():
        assert line == "" or line.startswith("#")


def test_readme_names_the_two_commands_in_its_first_lines():
    first = "\n".join(read("README.md").splitlines()[:15])
    assert "make run" in first
    assert "make test" in first


def test_ci_runs_the_same_commands_as_people():
    script = read(".ci/run")
    assert "make check" in script
    assert "make test" in script


def test_targets_named_in_documents_exist():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = {t for path in DOCUMENTS for t in re.findall(r"`make ([a-z]+)", path.read_text())}
    assert named <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), target


def test_variables_and_codes_named_for_operators_exist():
    codes = {error.code for error in CommandError.__subclasses__()}
    codes |= {CommandError.code, AuthFailed.code}
    known = {setting.name for setting in SETTINGS} | codes
    page = read("docs/operations.md") + read("README.md") + read("SECURITY.md")
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", page))
    assert named <= known


def test_metrics_named_in_the_operations_page_exist():
    from tests.unit.telemetry.fakes import FakeServer

    text = FakeServer().metrics.prometheus().decode()
    for name in set(re.findall(r"`(fastchat_[a-z_]+)", read("docs/operations.md"))):
        assert f"\n{name}" in text, name


def test_changelog_has_this_version_and_the_build_takes_it_from_one_place():
    assert f"## {__version__}" in read("CHANGELOG.md")
    assert "version" in tomllib.loads(read("pyproject.toml"))["project"]["dynamic"]


def test_architecture_prints_the_import_rule_that_is_checked():
    contract = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    text = read("ARCHITECTURE.md")
    assert RULES in text
    printed = text.split(RULES)[1].split("```")[1].strip().splitlines()
    # In brackets: a layer that may be missing.
    assert printed == [layer.replace("(", "").replace(")", "") for layer in contract["layers"]]
