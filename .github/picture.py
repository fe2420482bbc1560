"""Make the picture in the README: dogsort in a terminal, with the example photos.

``python .github/picture.py`` writes ``terminal.svg`` beside itself.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
COMMANDS = ("dogsort photos", "dogsort photos --move", "dogsort undo photos")
WIDTH = 76


def said_by(command: str) -> str:
    """Run a command in a terminal; return its output, with colours."""
    ours, its = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    words = [sys.executable, "-m", *command.split()]
    with subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env=environment):
        os.close(its)
        said = b""
        with suppress(OSError):  # Linux raises it when the other end is closed
            while block := os.read(ours, 1 << 16):
                said += block
    os.close(ours)
    # Drop text that was overwritten after a carriage return.
    lines = said.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(line.rsplit("\r", 1)[-1] for line in lines).rstrip("\n")


def main() -> None:
    """Draw all commands in turn."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place, "photos")
        shutil.copytree(
            HERE.parent / "examples" / "photos", photos, ignore=lambda *_: ["ORIGINS.md"]
        )
        os.environ |= {"DOGSORT_CACHE": str(Path(place, "cache")), "XDG_STATE_HOME": place}
        os.chdir(place)
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(said_by(command)))
    picture = console.export_svg(title="dogsort")
    # Remove the font that it would fetch; any monospaced font will do.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (HERE / "terminal.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
