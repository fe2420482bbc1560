"""The server: from a port to Ctrl-C."""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from dogsort.errors import DogsortError
from dogsort.review.guard import Guard

__all__ = ["Server"]

#: Seconds that requests may still take once the server stops.
LAST_SECONDS = 3


class Server:
    """A server that listens, and answers once it runs.

    Args:
        app: what it serves.
        host: the address of this machine to listen at.
        port: its port; 0 for a free one.

    Raises:
        DogsortError: if it cannot listen there.

    Attributes:
        port: the port.
        address: the page, with the token.
    """

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DogsortError(f"cannot listen at {host} port {port}: {reason}") from error
        self.port = self._socket.getsockname()[1]
        guard = Guard(app, (host,), self.port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self.port}/?token={guard.token}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                guard,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=LAST_SECONDS,
            )
        )
        app.state.server = self._server

    def run(self) -> None:
        """Answer until the page says that it is done, or Ctrl-C."""
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:  # which uvicorn raises once it has stopped
            pass
        finally:
            self._socket.close()
