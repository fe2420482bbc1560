"""The entry of the command ``dogsort`` and of ``python -m dogsort``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, ready for Ctrl-C from the first moment on."""
    try:
        from dogsort.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
