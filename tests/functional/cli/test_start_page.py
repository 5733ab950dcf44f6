"""The start page does what it says: its blocks are run in their order."""

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PATIENCE = 120.0  # seconds for one block


def blocks():
    return BLOCK.findall((ROOT / "docs/start.md").read_text("utf-8"))


@pytest.fixture
def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@contextmanager
def running(command, environment):
    """Run the server around a block, from when it says what to do next."""
    with subprocess.Popen(
        command.split(), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            said = ""
            for line in server.stdout:
                said += line
                if "send this first" in line:
                    break
            assert "fastchat, development mode" in said
            yield
        finally:
            server.terminate()  # make passes it on
            server.stdout.read()


def test_every_block_of_the_start_page_works(tmp_path, port):
    environment = os.environ | {
        "PORT": port,
        "NODE_ENV": "development",
        "FASTCHAT_DATA_DIR": str(tmp_path / "data"),
    }
    (language, first), *rest = blocks()
    assert (language, first) == ("sh", "make run\n")
    output = None
    kinds = []
    with running(first, environment):
        for language, text in rest:
            kinds.append(language)
            if language == "text":
                assert output == text
                continue
            # The page says the port of everybody, and keeps the environment small.
            text = text.replace("127.0.0.1:3001", f"127.0.0.1:{port}")
            text = text.replace("top --once", f"top --once --url http://127.0.0.1:{port}")
            text = text.replace("--to bob", f"--to bob --url ws://127.0.0.1:{port}")
            small = '{"NODE_ENV": "development"}'
            text = text.replace(f"env={small}", f"env={environment!r}")
            command = [sys.executable, "-c", text] if language == "python" else ["sh", "-c", text]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True,
                timeout=PATIENCE, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (text, done.stdout, done.stderr)
            output = done.stdout
    assert kinds == ["sh", "sh", "python", "text", "python", "text"]
