"""The entry point of ``dogsort`` and ``python -m dogsort``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, ready for Ctrl-C from the start."""
    try:
        from dogsort.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
