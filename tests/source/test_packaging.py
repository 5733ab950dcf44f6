"""What is built and shipped: the package holds its files, and the version is in one place."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fastchat import __version__
from fastchat.cli.config import environment_file
from fastchat.config.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
NAMES = {setting.name for setting in SETTINGS}
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def read(name):
    return (ROOT / name).read_text("utf-8")


def shipped(folder):
    """Every file of the package that a running server or a type checker may want."""
    left_out = {".pyx", ".c", ".so", ".pyc"}
    return {
        str(path.relative_to(folder))
        for path in (folder / "fastchat").rglob("*")
        if path.is_file() and path.suffix not in left_out
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The pure part of a wheel, and the list of what the source package has."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    # Extensions are compiled elsewhere: here are only their names and what cythonize leaves behind.
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.c")
    shutil.copytree(ROOT / "fastchat", copy / "fastchat", ignore=ignored)
    made = [path.with_suffix(".c") for path in copy.glob("fastchat/_speedups/*.pyx")]
    for path in made:
        path.touch()
    names = [str(path.relative_to(copy)) for path in made]
    setup = (copy / "setup.py").read_text("utf-8")
    named = f"(lambda them, **_: [Extension(them[0].name, {names})])("
    (copy / "setup.py").write_text(setup.replace("cythonize(", named))
    command = [sys.executable, "setup.py", "--quiet", "egg_info", "build_py", "--build-lib", "lib"]
    subprocess.run(command, cwd=copy, check=True, timeout=60, capture_output=True)
    return copy


def test_a_wheel_has_every_file_of_the_package(built):
    assert shipped(built / "lib") == shipped(ROOT)


def test_a_wheel_has_nothing_that_extensions_are_made_from(built):
    suffixes = {path.suffix for path in (built / "lib").rglob("*")}
    assert ".py" in suffixes
    assert not suffixes & {".c", ".pyx"}


def test_the_source_package_has_what_the_extensions_are_made_of(built):
    listed = set((built / "fastchat.egg-info/SOURCES.txt").read_text("utf-8").splitlines())
    sources = {str(path.relative_to(ROOT)) for path in ROOT.glob("fastchat/_speedups/*.p[yx][xd]")}
    assert len(sources) > 5
    assert sources <= listed
    assert not [name for name in listed if name.endswith((".c", ".so"))]


def test_the_version_is_in_one_place():
    chart = read("deploy/helm/fastchat/Chart.yaml")
    assert f'appVersion: "{__version__}"' in chart
    for name in ("asyncapi", "openapi"):
        assert json.loads(read(f"docs/schema/{name}.json"))["info"]["version"] == __version__
    for name in ("package", "package-lock"):
        assert json.loads(read(f"clients/js/{name}.json"))["version"] == __version__


def test_the_release_builds_what_the_package_asks_for():
    workflow = read(".github/workflows/release.yml")
    assert 'requires-python = ">=3.11"' in read("pyproject.toml")
    assert re.findall(r"cp(3\d+)-", workflow) == ["311", "312", "313"]
    assert ".ci/try-wheel" in workflow
    # The tool takes the source package for itself only when it is named as a file.
    assert "SDIST=$(ls dist/*.tar.gz)" in workflow
    assert "package-dir: ${{ env.SDIST }}" in workflow
    assert "try-wheel" in read(".ci/wheel")


def test_settings_named_in_deploy_exist():
    assert environment_file()
    others = {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "GRAFANA_PASSWORD"}
    for name in ("deploy/compose.yaml", "deploy/helm/fastchat/values.yaml", "docs/deploy.md"):
        named = set(re.findall(r"\b([A-Z]{2,}(?:_[A-Z]+)+)\b(?:: |\}|=)", read(name)))
        unknown = {one for one in named - NAMES - others if not one.startswith("GF_")}
        assert not unknown, name


def test_the_chart_takes_no_secret_as_an_open_setting():
    schema = json.loads(read("deploy/helm/fastchat/values.schema.json"))
    refused = schema["properties"]["settings"]["not"]["anyOf"]
    secrets = {setting.name for setting in SETTINGS if setting.secret}
    assert {name for one in refused for name in one["required"]} == secrets | {"PORT"}


def test_compose_publishes_ports_to_this_machine_only():
    published = re.findall(r'^ +- "(\S+):\d+:\d+"$', read("deploy/compose.yaml"), re.MULTILINE)
    assert published == ["${PUBLISH:-127.0.0.1}", "127.0.0.1"]


def test_the_unit_starts_the_server_whatever_the_check_says():
    # The server itself waits for a database that is away, and serves without Redis.
    commands = re.findall(r"^ExecStartPre=(.*)$", read("deploy/systemd/fastchat.service"), re.M)
    assert commands == ["-/opt/fastchat/bin/fastchat check"]


def test_deploy_waits_longer_than_the_server_drains_and_pings():
    drain = int(DEFAULTS["SHUTDOWN_TIMEOUT"]) / 1000
    silence = int(DEFAULTS["KEEP_ALIVE_TIMEOUT"]) / 1000
    unit = read("deploy/systemd/fastchat.service")
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) >= drain + 10
    compose = read("deploy/compose.yaml")
    assert int(re.search(r"stop_grace_period: (\d+)s", compose)[1]) >= drain + 10
    nginx, haproxy = read("deploy/nginx/fastchat.conf"), read("deploy/haproxy/fastchat.cfg")
    assert int(re.search(r"proxy_read_timeout (\d+)s", nginx)[1]) > 2 * silence
    assert int(re.search(r"timeout tunnel (\d+)s", haproxy)[1]) > 2 * silence


def test_the_image_runs_as_nobody_in_particular():
    stages = re.split(r"^FROM ", read("deploy/docker/Dockerfile"), flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    final = stages[1]
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001:10001"]
    assert "gcc" not in final
    assert "rm -rf /usr/local/bin/pip*" in final
    for name in re.findall(r"^COPY (?!--)(.*) \S+$", "".join(stages), re.MULTILINE):
        for part in name.split():
            assert (ROOT / part).exists(), part
            assert f"!{part}" in read(".dockerignore"), part
