"""``python -m fastchat`` is ``fastchat``."""

import sys

from fastchat.cli import main

if __name__ == "__main__":
    sys.exit(main())
