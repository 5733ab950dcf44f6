"""``fastchat serve`` with several workers: the setting does not allow more than one yet."""

import os
import sys
from dataclasses import replace

from fastchat import app
from fastchat.cli.development import load_complete
from fastchat.telemetry import logs


def main(workers: int) -> int:
    config = replace(load_complete(os.environ), web_concurrency=workers)
    logs.setup(config.log_level, config.log_format)
    return app.run(config)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
