"""From a URL to a connected socket: what stands in the address, name resolution, and the socket's own facts."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from lab.errors import BadInput

_READ_SIZE = 256 * 1024
# What may stand in a request's target as it is; the rest is percent-encoded.
_AS_IT_IS = "/?%:@!$&'()*+,;=-._~[]"


@dataclass(frozen=True)
class Place:
    """What a URL says: where to connect, what to call it there, and what to ask for.

    Args:
        secure: whether it is https.
        host: the name in ASCII, or the address without brackets.
        port: the TCP port.
        authority: host and port as a request names them; never user name and password.
        target: path and query.
    """

    secure: bool
    host: str
    port: int
    authority: str
    target: str


def place_of(url: str, path: str) -> Place:
    """Take an address apart.

    Args:
        url: http or https; its path stands before `path`, its query is kept, its fragment and its user
            name and password are dropped.
        path: what is asked for below that; empty where the URL is the whole endpoint already.

    Raises:
        BadInput: the address makes no sense; it is not repeated, for a password may stand in it.
    """
    try:
        parts = urlsplit(url)
        host, port = _ascii(parts.hostname or ""), parts.port
        target = quote(_target(parts, path), safe=_AS_IT_IS)
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise BadInput("the address is neither http nor https, or cannot be read", "Write it like https://host/path.")
    # A zone says which of this machine's interfaces; it means nothing to the other side.
    name = f"[{host.partition('%')[0]}]" if ":" in host else host
    return Place(
        secure=parts.scheme == "https",
        host=host,
        port=port if port is not None else (443 if parts.scheme == "https" else 80),
        authority=name if port is None else f"{name}:{port}",
        target=target,
    )


SEGMENT = 1460
"""Bytes of a segment on Ethernet, which is asked for on loopback too. That one takes 64 KiB at once, so that a kernel
which waits for a full segment (MSG_MORE) holds there what it would have sent on any network."""


def _is_loopback(host: str) -> bool:
    """Whether an address, as the resolver gives it, is this machine's own loopback."""
    return host == "::1" or host.startswith("127.")


class EarlyReset(Exception):
    """The connection was opened and reset before connecting had returned."""

    def __init__(self, error: ConnectionResetError, rest: bytes) -> None:
        super().__init__(str(error))
        self.error = error
        self.rest = rest


async def connected(place: Place, receive_buffer: int | None) -> socket.socket:
    """A connected socket to the first address that takes it.

    Args:
        place: where to.
        receive_buffer: the kernel's buffer for what comes, in bytes; None for its own choice.

    Raises:
        socket.gaierror: the name was not found.
        EarlyReset: see there.
        OSError: no address took the connection.
    """
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{place.host} has no address")
    for family, kind, protocol, _, address in addresses:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            failure = error
            continue
        try:
            sock.setblocking(False)
            if receive_buffer is not None:
                # Before connecting: the window that is offered with the connection depends on it.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if _is_loopback(str(address[0])):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
            await loop.sock_connect(sock, address)
        except ConnectionResetError as error:
            rest = read_all(sock.fileno())
            sock.close()
            raise EarlyReset(error, rest) from None
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def words_of(error: Exception) -> str:
    """What went wrong, in the system's words; the two event loops' own differ."""
    if isinstance(error, socket.gaierror):
        return str(error.strerror or error)
    number = error.errno if isinstance(error, OSError) and error.errno is not None else 0
    return os.strerror(number) if number > 0 else str(error)


def descriptor_of(transport: asyncio.Transport | None) -> int:
    """The file descriptor below a transport; -1 once it is closed."""
    sock = None if transport is None else transport.get_extra_info("socket")
    return -1 if sock is None else int(sock.fileno())


def bytes_wait(descriptor: int) -> bool:
    """Whether something is there to be read, or an end."""
    if descriptor < 0:
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def pending_error(descriptor: int) -> int:
    """The error number that the socket holds; 0 for none."""
    if descriptor < 0:
        return 0
    with socket.socket(fileno=os.dup(descriptor)) as twin:
        return twin.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def read_all(descriptor: int) -> bytes:
    """What a broken connection still holds."""
    parts: list[bytes] = []
    # An error says that there is no more to read; why, the caller knows.
    with suppress(OSError):
        while descriptor >= 0 and (part := os.read(descriptor, _READ_SIZE)):
            parts.append(part)
    return b"".join(parts)


def _target(parts: SplitResult, path: str) -> str:
    target = parts.path.rstrip("/") + path if path else parts.path or "/"
    if parts.query:
        target += ("&" if "?" in target else "?") + parts.query
    return target


def _ascii(host: str) -> str:
    """A name with letters beyond ASCII as it stands in DNS.

    Raises:
        UnicodeError: it cannot be written so.
    """
    return host if host.isascii() else host.encode("idna").decode("ascii")
