"""``dogsort review`` as a process, and a client that sends what the page in a browser does."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ADDRESS = re.compile(r"open (http://(\S+):(\d+)/\?token=(\S+))")

START_SECONDS = 60  # a busy machine is not a failure


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running server. Its client sends the cookie, and what a browser sends by itself."""

    def __init__(
        self,
        *args: object,
        cwd: Path | None = None,
        browser: bool = False,
        **env: str,
    ) -> None:
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        command = [sys.executable, "-m", "dogsort", "review", *map(str, args)]
        self.process = subprocess.Popen(
            [*command, *(["--no-browser"] if not browser else [])],
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **env},
            text=True,
            errors="surrogateescape",
        )
        threading.Thread(target=self._read, daemon=True).start()
        while (line := self._lines.get(timeout=START_SECONDS)) is not None:
            if found := ADDRESS.match(line):
                self.address, self.host, port, self.token = found.groups()
                self.port = int(port)
                break
        else:
            raise AssertionError(f"ended with {self.process.wait()}: {self.said}")
        answer = self.ask("GET", f"/?token={self.token}")
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            self._lines.put(line)
        self._lines.put(None)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> Answer:
        """Ask with exactly these headers; underscores stand for dashes, None leaves one out."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": f"127.0.0.1:{self.port}", **given}.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        with connection.getresponse() as response:
            named = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, named, response.read())
        connection.close()
        return answer

    def get(self, path: str, **headers: str | None) -> Answer:
        usual = {"Cookie": self.cookie, "Sec_Fetch_Site": "same-origin"}
        return self.ask("GET", path, **{**usual, **headers})

    def post(self, path: str, content: object = None, **headers: str | None) -> Answer:
        usual = {
            "Cookie": self.cookie,
            "Origin": f"http://127.0.0.1:{self.port}",
            "Content_Type": "application/json",
        }
        body = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
        return self.ask("POST", path, body, **{**usual, **headers})

    def album(self) -> dict[str, Any]:
        return self.get("/album").json

    def label(self, rows: list[int], label: str, generation: int | None = None) -> Answer:
        generation = generation or self.album()["generation"]
        return self.post("/labels", {"generation": generation, "rows": rows, "label": label})

    def undo(self) -> Answer:
        return self.post("/undo", {"generation": self.album()["generation"]})

    def wait(self) -> int:
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.wait()


@contextmanager
def served(*args: object, **given: Any) -> Iterator[Served]:
    """Run a server for the block, and leave no process behind."""
    server = Served(*args, **given)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
