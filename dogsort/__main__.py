"""``python -m dogsort``."""

from dogsort.cli.main import main

if __name__ == "__main__":
    main()
