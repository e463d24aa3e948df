"""Room: how much memory requests may take together, so that no number of them takes all that there is."""

from __future__ import annotations

from types import TracebackType
from typing import Self

MOST = 256 * 2**20
"""Bytes for everything that requests hold while they are answered: bodies, steps that are made, what is noted."""


class Full(Exception):
    """The server holds as much as it may; the text says of what."""


class Share:
    """One request's part of the room; a context manager that gives it back at the end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def take(self, size: int) -> None:
        """Hold so many bytes more.

        Raises:
            Full: there is no room for them.
        """
        if self._room.held + size > self._room.most:
            raise Full(f"the requests that run take all of {self._room.most} bytes; ask again later")
        self._room.held += size
        self.held += size

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._room.held -= self.held
        self.held = 0


class Room:
    """The room of one model server.

    Args:
        most: bytes.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.held = 0

    def share(self) -> Share:
        """A part, of nothing yet."""
        return Share(self)
