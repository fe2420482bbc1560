"""The server: from a port to Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import closing, suppress

import uvicorn

from dogsort.errors import DogsortError
from dogsort.review.app import Page
from dogsort.review.guard import Guard

__all__ = ["Server"]

#: Seconds that open requests may still take when the server stops.
LAST_SECONDS = 3


class Server:
    """A server that listens at once, and answers when it is run.

    Args:
        page: what it serves.
        host: the address of this machine to listen at.
        port: its port; 0 for a free one.
        stop: set this to stop the server.

    Raises:
        DogsortError: if it cannot listen there.

    Attributes:
        port: the port in use.
        is_local: whether no other machine can reach it.
        address: of the page, with a token.
        address_for_once: the same, with a token that works once.
    """

    def __init__(self, page: Page, host: str, port: int, stop: threading.Event) -> None:
        self._socket = _listening(host, port)
        self.port = self._socket.getsockname()[1]
        number = ipaddress.ip_address(self._socket.getsockname()[0])
        self.is_local = number.is_loopback
        name = socket.gethostname() if number.is_unspecified else host
        guard = Guard(page.app, name, number.is_unspecified, self.port)
        page_address = f"http://{f'[{name}]' if ':' in name else name}:{self.port}/?token="
        self.address = page_address + guard.token
        self.address_for_once = page_address + guard.token_for_once
        self._server = _UvicornServer(guard, stop)

    def run(self) -> None:
        """Answer requests until ``stop`` is set, or Ctrl-C."""
        # uvicorn raises KeyboardInterrupt once it has stopped.
        with closing(self._socket), suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])


class _UvicornServer(uvicorn.Server):
    def __init__(self, app: Guard, stop: threading.Event) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            server_header=False,
            timeout_graceful_shutdown=LAST_SECONDS,
        )
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DogsortError(f"cannot listen at {host} port {port}: {reason}") from error
