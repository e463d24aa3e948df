"""A server that does exactly what a test says to each connection, with blocking sockets and threads.

It shares no line with the lab's model server on purpose: what the probe sees of it is checked against what a
socket did, not against what another part of the lab believes.
"""

from __future__ import annotations

import fcntl
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Script = Callable[["Peer"], None]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSE = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def length(count: int) -> bytes:
    """A head that promises so many bytes."""
    return HEAD + b"Content-Length: %d\r\n\r\n" % count


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over

    def read_head(self) -> bytes:
        """Read a request up to the end of its head, and of its body what came with that."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        return data

    def read_request(self) -> bytes:
        """Read head and body of the request, whose length it gives."""
        head, _, body = self.read_head().partition(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(body) < size:
            body += self._receive()
        return head + b"\r\n\r\n" + body

    def _receive(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the client left amid its request")
        return data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def await_acknowledged(self) -> None:
        """Wait until the other side's kernel has everything; a reset would destroy the rest."""
        queued = b"\1\0\0\0"
        while struct.unpack("i", queued)[0]:
            queued = fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            self.over.wait(0.001)

    def fin(self) -> None:
        """End the sending direction; on TLS without a word."""
        self.sock.shutdown(socket.SHUT_WR)

    def notify(self) -> None:
        """Say on TLS that nothing more will be sent; the client may have left when it would answer."""
        assert isinstance(self.sock, ssl.SSLSocket)
        with suppress(OSError):
            self.sock.unwrap()

    def rst(self) -> None:
        """Reset, once everything has arrived."""
        self.await_acknowledged()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang(self) -> None:
        """Do nothing until the other side leaves or the server is closed."""
        self.sock.settimeout(0.05)
        while not self.over.is_set():
            try:
                if not self.sock.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


class FaultServer:
    """Listens on a free port and runs the script for each connection; a context manager.

    Args:
        script: what happens to each connection.
        tls: certificate and key; without them the connections are plain.
        family: of the address.
    """

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None = None, family: socket.AddressFamily = socket.AF_INET
    ) -> None:
        self._script = script
        self._tls = tls
        self._over = threading.Event()
        host = "::1" if family is socket.AF_INET6 else "127.0.0.1"
        self._listener = socket.create_server((host, 0), backlog=128, family=family)
        self._threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []
        name = "[::1]" if family is socket.AF_INET6 else "127.0.0.1"
        self.url = f"http{'s' if tls else ''}://{name}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        # Shutting a listener down wakes the thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 10
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._listener.close()
        assert not any(thread.is_alive() for thread in self._threads), "a script never ended"

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(lambda sock=sock: self._serve(sock))  # type: ignore[misc]

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self._script(Peer(sock, self._over))
        except OSError as error:
            self.failures.append(error)
        finally:
            sock.close()
