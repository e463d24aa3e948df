"""The lockstep driver: confirms each token to the model server as soon as it has arrived.

The model server holds token i+1 until token i is confirmed, so a path that buffers stops the answer,
and no clock has to say what "at once" means. The driver reads the body while it comes; the judge reads
it again from the trace, so nothing here is evidence but the times of the confirmations.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from lab.probe.body import BodyReader
from lab.probe.framing import Head
from lab.probe.side_channel import SideChannel
from lab.wire.format import WireFormat

# Seconds for what is left to confirm once the exchange is over; over loopback it takes a thousandth of that.
_CLOSING = 10.0


class Lockstep:
    """Feeds one exchange's body to the wire format's reader and confirms what it finds.

    Lives as long as one exchange: pass `on_head` and `on_body` to it, then call `aclose`. Only the numbers of the
    answer's own tokens, of which there are `tokens`, are confirmed, whatever else the path may send.

    `confirmed` holds, by token number, when the model server had taken the confirmation; a number that
    it would not take is not in it.
    """

    def __init__(self, wire_format: WireFormat, channel: SideChannel, request: str, tokens: int) -> None:
        self.confirmed: dict[int, float] = {}
        self._format = wire_format
        self._channel = channel
        self._request = request
        self._tokens = tokens
        self._body = BodyReader(wire_format, stream=True)
        self._arrived: asyncio.Queue[int | None] = asyncio.Queue()
        # One task in order: token i is never confirmed before token i-1.
        self._task = asyncio.get_running_loop().create_task(self._confirm_all())

    def on_head(self, head: Head) -> None:
        """Learn the content coding."""
        self._body = BodyReader(self._format, stream=True, coding=head.coding)

    def on_body(self, at: float, data: bytes) -> None:
        """Take the next piece of body."""
        for stamp in self._body.feed(data).tokens:
            if 1 <= stamp.number <= self._tokens:
                self._arrived.put_nowait(stamp.number)

    async def aclose(self) -> None:
        """Confirm what is left, as far as a few seconds allow, then stop."""
        self._arrived.put_nowait(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING):
                await self._task

    async def _confirm_all(self) -> None:
        while (number := await self._arrived.get()) is not None:
            if number not in self.confirmed and await self._channel.confirm(self._request, number):
                self.confirmed[number] = time.monotonic()
