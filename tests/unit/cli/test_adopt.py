"""``fastchat adopt`` where no database is needed to say what is wrong."""

import pytest

from fastchat.cli import main
from tests.unit.config.test_config import PRODUCTION


@pytest.fixture
def production(monkeypatch):
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


def test_a_database_has_to_be_configured(monkeypatch, capsys):
    monkeypatch.setenv("NODE_ENV", "development")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert main(["adopt"]) == 1
    assert "expected the previous server's in DATABASE_URL" in capsys.readouterr().err


def test_a_column_without_a_name_is_explained(production, capsys):
    assert main(["adopt", "--column", "reactions.reaction"]) == 1
    assert "expected KIND.COLUMN=NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [("--copy", "--switch"), ("--slice", "0"), ("--slice", "many"), ("--pause", "-1")],
    ids=" ".join,
)
def test_options_that_make_no_sense_are_refused(production, options, capsys):
    with pytest.raises(SystemExit) as error:
        main(["adopt", *options])
    assert error.value.code == 2
    assert "usage: fastchat adopt" in capsys.readouterr().err
