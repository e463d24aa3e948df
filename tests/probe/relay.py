"""Small relays that stand in for proxies: one that hands bytes on, one that collects, one that waits.

Threads and blocking sockets, like the fault server; they know nothing of HTTP.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from .fault_server import Peer, Script

Downstream = Callable[[Peer, socket.socket], None]


def relay(upstream_url: str, downstream: Downstream, attempts: int = 1) -> Script:
    """A script that passes the request on and lets `downstream` bring back the reply to the last attempt."""
    place = urlsplit(upstream_url)

    def script(peer: Peer) -> None:
        request = peer.read_request()
        for attempt in range(attempts):
            with socket.create_connection((place.hostname or "", place.port or 0)) as upstream:
                upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # The model server then closes after its reply, which tells a relay that knows no HTTP of the end.
                upstream.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
                (downstream if attempt == attempts - 1 else into_nothing)(peer, upstream)

    return script


def into_nothing(_: Peer, upstream: socket.socket) -> None:
    """Read the reply and hand nothing on."""
    while upstream.recv(65536):
        pass


def at_once(peer: Peer, upstream: socket.socket) -> None:
    """Hand on each read."""
    while data := upstream.recv(65536):
        peer.send(data)


def all_at_the_end(peer: Peer, upstream: socket.socket) -> None:
    """Collect the whole reply, as a buffering proxy does."""
    parts = []
    while data := upstream.recv(65536):
        parts.append(data)
    peer.send(b"".join(parts))


def late(seconds: float) -> Downstream:
    """Hand on each read after a wait, as a proxy that hopes for more does."""

    def downstream(peer: Peer, upstream: socket.socket) -> None:
        while data := upstream.recv(65536):
            peer.over.wait(seconds)
            peer.send(data)

    return downstream


def idle_timeout(seconds: float) -> Downstream:
    """Hand on each read, and give up after so much silence."""

    def downstream(peer: Peer, upstream: socket.socket) -> None:
        upstream.settimeout(seconds)
        try:
            at_once(peer, upstream)
        except TimeoutError:
            return

    return downstream
