"""A relay before the engine that can be cut: for a run it is as if the engine had died.

The engine itself goes on, since others use it, and so do the containers.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from testcontainers.core.docker_client import get_docker_host

from lab.testbed.engine import DEFAULT_ADDRESS


def _engine() -> socket.socket:
    """A connection to the engine, wherever the user's Docker says that it is."""
    place = urlsplit(get_docker_host() or DEFAULT_ADDRESS)
    if place.scheme != "unix":
        return socket.create_connection((place.hostname, place.port))
    far = socket.socket(socket.AF_UNIX)
    far.connect(place.path)
    return far


class Relay:
    """Forwards every connection to the engine while inside `with`, until it is cut.

    Args:
        path: of the socket to listen at.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    @property
    def address(self) -> str:
        """For `DOCKER_HOST`."""
        return f"unix://{self._path}"

    def cut(self) -> None:
        """Close everything; from now on nobody listens."""
        self._path.unlink(missing_ok=True)
        with self._lock:
            for each in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._sockets.clear()

    def _accept(self) -> None:
        # Until the listener is closed.
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = _engine()
                with self._lock:
                    self._sockets += [near, far]
                self._start(self._pump, near, far)
                self._start(self._pump, far, near)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    @staticmethod
    def _start(target: object, *given: object) -> None:
        threading.Thread(target=target, args=given, daemon=True).start()  # type: ignore[arg-type]
