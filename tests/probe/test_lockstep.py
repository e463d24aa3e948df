from __future__ import annotations

import asyncio
import zlib

import pytest

from lab.probe.framing import Head
from lab.probe.lockstep import Lockstep
from lab.wire import format_named
from lab.wire.format import Reply
from lab.wire.tokens import write_token

CHAT = format_named("openai-chat")
REPLY = Reply("r", "lab")


class Channel:
    """Takes confirmations, and refuses some."""

    def __init__(self, refused: frozenset[int] = frozenset()) -> None:
        self.refused = refused
        self.told: list[tuple[str, int]] = []

    async def confirm(self, request: str, number: int) -> bool:
        """Note the confirmation."""
        self.told.append((request, number))
        return number not in self.refused


def event(number: int) -> bytes:
    """One token's event."""
    return CHAT.text(REPLY, write_token("abcd", number, due=0.0, word="oak"))


async def drive(pieces: list[bytes], channel: Channel, coding: str = "") -> Lockstep:
    """Give a driver headers and pieces of body, and close it."""
    driver = Lockstep(CHAT, channel, "r1", tokens=3)  # type: ignore[arg-type]
    driver.on_head(Head(200, "1.1", (("content-encoding", coding),) if coding else (), "chunked"))
    for at, piece in enumerate(pieces):
        driver.on_body(float(at), piece)
    await driver.aclose()
    return driver


async def test_each_token_is_confirmed_once_and_in_order() -> None:
    """Two tokens in one piece, one in two pieces, and one that comes again."""
    channel = Channel()
    third = event(3)
    driver = await drive([event(1) + event(2), third[:40], third[40:], third], channel)
    assert channel.told == [("r1", 1), ("r1", 2), ("r1", 3)]
    assert list(driver.confirmed) == [1, 2, 3]


async def test_compressed_tokens_are_confirmed_as_they_come() -> None:
    """What gzip has flushed can be decoded, and so confirmed, before the body ends."""
    channel = Channel()
    deflater = zlib.compressobj(wbits=31)
    pieces = [deflater.compress(event(n)) + deflater.flush(zlib.Z_SYNC_FLUSH) for n in (1, 2)]
    await drive(pieces, channel, coding="gzip")
    assert channel.told == [("r1", 1), ("r1", 2)]


async def test_a_confirmation_that_was_not_taken_is_not_noted() -> None:
    """`confirmed` tells only of what the model server knows."""
    driver = await drive([event(1), event(2)], Channel(refused=frozenset({2})))
    assert list(driver.confirmed) == [1]


async def test_only_the_answers_own_tokens_are_confirmed() -> None:
    """A path that sends tokens which the answer does not have makes the probe ask for nothing."""
    channel = Channel()
    await drive([event(1) + event(0) + event(4) + event(10**9), event(2)], channel)
    assert channel.told == [("r1", 1), ("r1", 2)]


async def test_a_model_server_that_takes_no_confirmation_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the exchange is over, what is left is confirmed within some seconds or not at all."""
    monkeypatch.setattr("lab.probe.lockstep._CLOSING", 0.01)

    class Silent(Channel):
        async def confirm(self, request: str, number: int) -> bool:
            """Never answer."""
            await asyncio.Event().wait()
            return False

    async with asyncio.timeout(30):
        driver = await drive([event(1), event(2)], Silent())
    assert driver.confirmed == {}
