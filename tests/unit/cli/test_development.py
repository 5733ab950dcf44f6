"""The secrets of development: made once, kept, and for their owner only."""

import json
import multiprocessing
import stat

import pytest

from fastchat.cli import development
from fastchat.cli.development import DevelopmentError, development_secrets, load_complete
from tests.unit.config.test_config import PRODUCTION, SECRET


def test_secrets_are_made_once_and_kept(tmp_path):
    folder = tmp_path / "deep" / "data"
    first = development_secrets(folder)
    assert development_secrets(folder) == first
    assert set(first) == {"JWT_SECRET", "CHAT_ENCRYPTION_KEY"}


def test_secrets_file_is_readable_by_its_owner_only(tmp_path):
    development_secrets(tmp_path)
    path = tmp_path / development.SECRETS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_two_data_directories_have_different_secrets(tmp_path):
    assert development_secrets(tmp_path / "a") != development_secrets(tmp_path / "b")


def test_processes_that_start_at_once_agree(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map_async(development_secrets, [tmp_path] * 16, chunksize=1).get(timeout=60)
    assert all(secrets == found[0] for secrets in found)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"JWT_SECRET": "x"}', '{"JWT_SECRET": 1}'])
def test_damaged_file_is_explained_and_kept(tmp_path, text):
    path = tmp_path / development.SECRETS_FILE
    path.write_text(text)
    with pytest.raises(DevelopmentError, match="remove it to have new ones made"):
        development_secrets(tmp_path)
    assert path.read_text() == text


def test_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DevelopmentError, match="Not a directory"):
        development_secrets(tmp_path / "file" / "data")


def test_generated_secrets_fill_what_is_not_set(tmp_path):
    environ = {"NODE_ENV": "development", "FASTCHAT_DATA_DIR": str(tmp_path)}
    config = load_complete(environ)
    kept = json.loads((tmp_path / development.SECRETS_FILE).read_text())
    assert config.chat_encryption_key == kept["CHAT_ENCRYPTION_KEY"]
    assert len(config.jwt_secret) >= 32
    given = load_complete(environ | {"JWT_SECRET": SECRET})
    assert given.jwt_secret == bytes(range(48))
    assert given.chat_encryption_key == kept["CHAT_ENCRYPTION_KEY"]


def test_nothing_is_made_where_all_is_set(tmp_path):
    folder = tmp_path / "data"
    load_complete(PRODUCTION | {"FASTCHAT_DATA_DIR": str(folder)})
    load_complete(PRODUCTION | {"FASTCHAT_DATA_DIR": str(folder), "NODE_ENV": "development"})
    assert not folder.exists()


def test_demo_users_go_by_name_and_others_by_id():
    assert development.user_id("Alice") == "1"
    assert development.user_id("4711") == "4711"
