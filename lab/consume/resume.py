"""Going on with a reply whose stream was cut, where the wire format allows it: OpenAI's background responses.

A response created with `background=True` is generated to its end whether anybody listens or not, and each
event carries a number. After a cut the rest can be asked for, and nothing is generated or billed twice:

    GET /v1/responses/{id}?stream=true&starting_after={number}

    answer = read_background(
        client,
        lambda: client.responses.create(model=model, input=question, background=True, stream=True),
        on_text=show,
    )

`Bookmark` does no I/O: it notes the place, and hands on whole new events only, so that a consumer sees each event
once however often the connection failed. The two functions drive it with the SDK's client.

Warnings:
- The response must have been created with `background=True`, `stream=True` and not `store=False`; any other has
  no place to go on from, and is read as by `lab.consume.sdk.read`.
- Five minutes after its beginning OpenAI refuses to stream a response any more (400, openai-python issue 2828), and
  the answer is partial. The model goes on all the same: give a `Bookmark` of your own, and with its `response_id`
  fetch the whole later; `read(lambda: client.responses.retrieve(bookmark.response_id))` says whether it is complete,
  and while the model is at work that it is not (`empty`).
- The response's id comes with the first event. A proxy that loses that event, as nginx 1.26 in its defaults does when
  the model server resets the connection, leaves nothing to go on with.
- A gateway may not know how to go on and answer with an empty 200. That is partial too, after `idle` attempts.
- Leaving does not stop the model; `client.responses.cancel` does.
- Chat Completions and Anthropic Messages cannot resume. For them there is `lab.consume.go_on`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from ..wire.format import BROKEN
from ..wire.sse import EventParser, ServerSentEvent
from ._answers import Answer, Refused, Retry
from ._consumer import LARGEST, Consumer
from ._loops import adrive, drive
from ._shapes import answer_to, aopened, consumer_for, opened, response_of

_WIRE_FORMAT = "openai-responses"
_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"})

_log = logging.getLogger(__package__)


class Bookmark:
    r"""The place in a background response up to which its events have come, without any I/O.

    >>> bookmark = Bookmark()
    >>> _ = bookmark.take(b'data: {"type":"response.created","sequence_number":0,"response":{"id":"r1"}}\n\nda')
    >>> bookmark.path
    '/v1/responses/r1?stream=true&starting_after=0'
    """

    def __init__(self) -> None:
        self.response_id: str | None = None
        """The vendor's id of the response."""
        self.after: int | None = None
        """The number of the last whole event."""
        self.over = False
        """Whether the event that ends a response has come, or one that is no event of this format."""
        self._background = True
        self._held = bytearray()

    @property
    def can_go_on(self) -> bool:
        """Whether the rest can be asked for."""
        return self.response_id is not None and self.after is not None and self._background and not self.over

    @property
    def path(self) -> str | None:
        """Where to ask for the rest; None where that is not possible."""
        if not self.can_go_on:
            return None
        return f"/v1/responses/{self.response_id}?stream=true&starting_after={self.after}"

    def take(self, data: bytes) -> bytes:
        """Take the next bytes of the body; return the whole events among them that had not come before."""
        searched = max(0, len(self._held) - 3)
        self._held += data
        start, new = 0, bytearray()
        for blank in _BLANK_LINE.finditer(self._held, searched):
            block = bytes(self._held[start : blank.end()])
            start = blank.end()
            if self._note(block):
                new += block
        del self._held[:start]
        if len(self._held) > LARGEST:
            # Nobody waits for its end any more; what it is, the consumer says.
            self.over, new, self._held = True, new + self._held, bytearray()
        return bytes(new)

    def reopen(self) -> None:
        """The rest comes over another connection: forget the half event, which will come again."""
        self._held.clear()

    def rest(self) -> bytes:
        """The half event that came last, for a consumer that gets no more."""
        return bytes(self._held)

    def _note(self, block: bytes) -> bool:
        """Note the place; whether the block is new."""
        # The line end makes sure that a CR at the block's end is not taken for half a CRLF.
        for item in EventParser().feed(block + b"\n"):
            # A gateway's "[DONE]" says nothing here, and may stand behind half an answer.
            if isinstance(item, ServerSentEvent) and item.data != b"[DONE]":
                try:
                    if not self._note_event(json.loads(item.data)):
                        return False
                except BROKEN:
                    self.over = True
        return True

    def _note_event(self, document: dict[str, Any]) -> bool:
        number = document.get("sequence_number")
        if isinstance(number, int):
            if self.after is not None and number <= self.after:
                return False
            self.after = number
        response = document.get("response")
        if isinstance(response, dict) and isinstance(response.get("id"), str):
            self.response_id = response["id"]
            self._background = response.get("background") is not False
        self.over = self.over or document.get("type") in _LAST or bool(document.get("error"))
        return True


class _Reading:
    """A reply over any number of connections: what the loop feeds, and whether to open another."""

    def __init__(self, idle: int, bookmark: Bookmark | None) -> None:
        self.bookmark = Bookmark() if bookmark is None else bookmark
        self.first = True
        self._consumer = Consumer(_WIRE_FORMAT)
        self._idle_left = self._idle = idle
        self._place: int | None = None
        self._error: Exception | None = None

    @property
    def ended(self) -> bool:
        return self._consumer.ended or self.bookmark.over

    def feed(self, data: bytes) -> str:
        return self._consumer.feed(self.bookmark.take(data))

    def open(self, response: Any) -> None:
        """The next connection stands."""
        if self.first:
            self._consumer = consumer_for(response, _WIRE_FORMAT)
        self.first = False
        self.bookmark.reopen()

    def cut(self, error: Exception | None) -> bool:
        """The connection has ended, or a new one was not to be had: whether to try once more."""
        self._error = error
        moved = self.bookmark.after != self._place
        self._place = self.bookmark.after
        self._idle_left = self._idle if moved else self._idle_left - 1
        return self.bookmark.can_go_on and self._idle_left > 0

    def refused(self, error: Exception) -> bool:
        """The rest was not to be had: whether to try once more."""
        answer = answer_to(error)
        _log.warning("the rest of %s did not come: %r", self.bookmark.response_id, answer)
        hopeless = isinstance(answer, Refused) and answer.retry is Retry.POINTLESS
        return not hopeless and self.cut(self._error)

    def close(self) -> Answer:
        """No further connection."""
        self._consumer.feed(self.bookmark.rest())
        return self._consumer.close(None if self._consumer.ended else self._error)


def read_background(
    client: Any,
    source: Callable[[], object] | object,
    *,
    on_text: Callable[[str], object] | None = None,
    idle: int = 3,
    bookmark: Bookmark | None = None,
) -> Answer:
    """Read a background response to its end, over as many connections as it takes.

    Args:
        client: an `openai.OpenAI`; `client.responses.retrieve` is asked for the rest.
        source: the stream of `client.responses.create(background=True, stream=True)`, or a function that makes it.
        on_text: called with new text as it comes, each piece once. What it raises is passed on.
        idle: give up after so many connections in a row that brought no new event. The client's own
            `max_retries` and waiting between them come on top.
        bookmark: a new one of your own, to know the place and the response's id afterwards.

    Raises:
        BadInput: the source shows no response to read.
        Exception: as `lab.consume.sdk.read`.
    """
    reading = _Reading(idle, bookmark)
    while True:
        with ExitStack() as stack:
            try:
                reply = opened(source, stack)
            except Exception as error:
                if reading.first:
                    return answer_to(error)
                more = reading.refused(error)
            else:
                response = response_of(reply)
                reading.open(response)
                more = reading.cut(drive(reading, response.iter_bytes(), on_text, leave_at_marker=True))
        if not more:
            return reading.close()
        source = _rest_of(client, reading.bookmark)


async def aread_background(
    client: Any,
    source: Callable[[], Any] | object,
    *,
    on_text: Callable[[str], object] | None = None,
    idle: int = 3,
    bookmark: Bookmark | None = None,
) -> Answer:
    """`read_background` for an `openai.AsyncOpenAI`; the source may also be the call itself, not yet awaited."""
    reading = _Reading(idle, bookmark)
    while True:
        async with AsyncExitStack() as stack:
            try:
                reply = await aopened(source, stack)
            except Exception as error:
                if reading.first:
                    return answer_to(error)
                more = reading.refused(error)
            else:
                response = response_of(reply)
                reading.open(response)
                more = reading.cut(await adrive(reading, response.aiter_bytes(), on_text, leave_at_marker=True))
        if not more:
            return reading.close()
        source = _rest_of(client, reading.bookmark)


def _rest_of(client: Any, bookmark: Bookmark) -> Callable[[], Any]:
    """The call that asks for what follows the bookmark."""
    return lambda: client.responses.retrieve(bookmark.response_id, stream=True, starting_after=bookmark.after)
