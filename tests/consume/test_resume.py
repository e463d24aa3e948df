"""Going on with a background response, against a server that cuts its stream wherever it is told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.consume import Answer, Complete, Failed, FailedReason, Partial, PartialReason, Refused
from lab.consume.resume import Bookmark, aread_background, read_background

WORDS = ["one ", "two ", "three ", "four "]
TEXT = "".join(WORDS)


def _event(number: int, kind: str, **fields: Any) -> bytes:
    document = {"type": kind, **fields, "sequence_number": number}
    return f"event: {kind}\ndata: {json.dumps(document)}\n\n".encode()


def _response(background: bool, **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "background": background, "status": "in_progress", **fields}


def events(*, background: bool = True, last: str = "response.completed") -> list[bytes]:
    """The events of a whole response, as the vendor writes them."""
    opening = [_event(0, "response.created", response=_response(background))]
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [_event(1 + n, "response.output_text.delta", **where, delta=word) for n, word in enumerate(WORDS)]
    error = {"code": "server_error", "message": "gone"} if last == "response.failed" else None
    ended = _response(background, status=last.rpartition(".")[2], error=error, output=[])
    done = _event(len(WORDS) + 1, "response.output_text.done", **where, text=TEXT)
    return [*opening, *deltas, done, _event(len(WORDS) + 2, last, response=ended)]


class Script:
    """What the server does: one entry a connection.

    Args:
        stream: the events of the response.
        takes: what each connection gives of the events that are left: so many bytes and then a cut (a number), a
            clean end after so many events (`clean:2`), a status (`status:404`), all of it (`all`). The last repeats.
    """

    def __init__(self, stream: list[bytes], *takes: int | str) -> None:
        self.stream = stream
        self.takes = takes
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def do_POST(self) -> None:
        """The first connection."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(0)

    def do_GET(self) -> None:
        """Every further one."""
        query = parse_qs(urlsplit(self.path).query)
        assert query["stream"] == ["true"]
        self._answer(int(query["starting_after"][0]) + 1)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, first: int) -> None:
        script = self.script
        take = script.takes[min(len(script.asked), len(script.takes) - 1)]
        script.asked.append(self.path)
        left = script.stream[first:]
        self.close_connection = True
        if str(take).startswith("status:"):
            status = int(str(take)[7:])
            kind = "server_error" if status >= 500 else "invalid_request_error"
            self._send(status, b'{"error":{"message":"no","type":"%s"}}' % kind.encode(), whole=True)
        elif str(take).startswith("clean:"):
            self._send(200, b"".join(left[: int(str(take)[6:])]), whole=True)
        else:
            body = b"".join(left)
            self._send(200, body if take == "all" else body[: int(take)], whole=take == "all")

    def _send(self, status: int, body: bytes, *, whole: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status >= 400 else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if body else b"")
        self.wfile.write(b"0\r\n\r\n" if whole else b"")


@contextmanager
def served(script: Script) -> Iterator[str]:
    """The server; gives its URL."""
    handler = type("Handler", (_Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def go(script: Script, shown: list[str], bookmark: Bookmark | None = None) -> Answer:
    """Read the response of that script to its end."""
    with served(script) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        return read_background(
            client,
            lambda: client.responses.create(model="m", input="Count.", background=True, stream=True),
            on_text=shown.append,
            bookmark=bookmark,
        )


async def ago(script: Script, shown: list[str]) -> Answer:
    """The same with the asynchronous client."""
    with served(script) as url:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            call = client.responses.create(model="m", input="Count.", background=True, stream=True)
            return await aread_background(client, call, on_text=shown.append)


LENGTHS = [len(event) for event in events()]


at_any_place = pytest.mark.parametrize(
    "size", [LENGTHS[0], sum(LENGTHS[:2]), sum(LENGTHS[:3]) - 1, sum(LENGTHS[:4]) + 7]
)


@at_any_place
def test_a_cut_stream_goes_on_to_a_complete_answer(size: int) -> None:
    """Wherever the first connection is cut, at an event's end or inside one, the text comes whole and just once."""
    script, shown = Script(events(), size, "all"), list[str]()
    assert go(script, shown) == Complete(TEXT, 4, "stop")
    assert "".join(shown) == TEXT
    assert len(script.asked) == 2


@at_any_place
async def test_an_asynchronous_client_goes_on_too(size: int) -> None:
    """The same, with the call not yet awaited."""
    script, shown = Script(events(), size, "all"), list[str]()
    assert await ago(script, shown) == Complete(TEXT, 4, "stop")
    assert "".join(shown) == TEXT
    assert len(script.asked) == 2


def test_any_number_of_cuts_is_survived_while_each_connection_brings_something() -> None:
    """One event a connection, half of the next, and a cut: as many connections as events."""
    script, shown = Script(events(), *(length + 9 for length in LENGTHS)), list[str]()
    assert go(script, shown) == Complete(TEXT, 4, "stop")
    assert shown == WORDS
    numbers = [re.findall(r"starting_after=(\d+)", path) for path in script.asked]
    assert numbers == [[], ["0"], ["1"], ["2"], ["3"], ["4"], ["5"]]


def test_a_clean_end_without_the_terminal_event_is_gone_on_from() -> None:
    """What a proxy makes of a dead model server is no end either."""
    assert go(Script(events(), "clean:3", "all"), []) == Complete(TEXT, 4, "stop")


def test_events_that_come_again_are_dropped() -> None:
    """A server that repeats what was already had does not double the text."""
    script = Script([*events()[:4], *events()[1:]], "clean:4", "all")
    assert go(script, []) == Complete(TEXT, 4, "stop")


def test_connections_that_bring_nothing_are_given_up() -> None:
    """An empty 200, which some gateways give, is asked for three times; then the answer is partial."""
    script, bookmark = Script(events(), "clean:3", "clean:0"), Bookmark()
    answer = go(script, [], bookmark)
    assert isinstance(answer, Partial)
    assert (answer.text, answer.reason) == ("one two ", PartialReason.NO_MARKER)
    assert len(script.asked) == 4
    assert (bookmark.response_id, bookmark.after) == ("resp_1", 2)


def test_a_refusal_to_go_on_leaves_a_partial_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The vendor's no after five minutes ends it at once, with the first failure as the reason, and is logged."""
    script = Script(events(), sum(LENGTHS[:3]), "status:400")
    answer = go(script, [])
    assert isinstance(answer, Partial)
    assert (answer.text, answer.reason) == ("one two ", PartialReason.CUT)
    assert len(script.asked) == 2
    assert "the rest of resp_1 did not come" in caplog.text


def test_a_server_error_on_going_on_is_tried_again() -> None:
    """A 500 for the rest is not the end of it."""
    script = Script(events(), sum(LENGTHS[:3]), "status:500", "all")
    assert go(script, []) == Complete(TEXT, 4, "stop")


def test_the_first_refusal_is_the_answer() -> None:
    """A request that never became a response is refused, as by `read`."""
    assert go(Script(events(), "status:400"), []) == Refused(400, "invalid_request_error", "no")


def test_a_cut_before_any_event_is_failed() -> None:
    """Without the response's id there is nothing to go on from."""
    answer = go(Script(events(), 10), [])
    assert isinstance(answer, Failed)
    assert answer.reason is FailedReason.CUT


def test_a_response_that_is_not_in_the_background_is_not_asked_for_again() -> None:
    """It says so itself; then a cut is a cut."""
    script = Script(events(background=False), sum(LENGTHS[:3]), "all")
    answer = go(script, [])
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.CUT
    assert len(script.asked) == 1


def test_a_model_error_is_final() -> None:
    """A response that failed is not asked for again."""
    script = Script(events(last="response.failed"), "all")
    answer = go(script, [])
    assert isinstance(answer, Partial)
    assert (answer.text, answer.reason) == (TEXT, PartialReason.MODEL_ERROR)
    assert len(script.asked) == 1


def test_a_broken_event_is_final() -> None:
    """What is no event of this format makes the answer malformed; there is no place to go on from."""
    script = Script([*events()[:3], b"data: {half\n\n"], "all")
    answer = go(script, [])
    assert isinstance(answer, Partial)
    assert (answer.text, answer.reason) == ("one two ", PartialReason.MALFORMED)


def test_a_page_instead_of_a_stream_is_failed() -> None:
    """A 200 with something else in it is a wrong reply, as everywhere."""
    answer = go(Script([b"<html>Please log in</html>"], "all"), [])
    assert isinstance(answer, Failed)
    assert answer.reason is FailedReason.WRONG_REPLY


def test_errors_of_the_application_are_passed_on() -> None:
    """What `on_text` raises is the application's own, and nothing is asked for again."""
    script = Script(events(), "all")

    def show(text: str) -> None:
        raise ZeroDivisionError(text)

    with served(script) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        call: Callable[[], object] = lambda: client.responses.create(model="m", input="x", stream=True)  # noqa: E731
        with pytest.raises(ZeroDivisionError):
            read_background(client, call, on_text=show)
    assert len(script.asked) == 1


class TestBookmark:
    def test_before_the_first_event_there_is_no_place(self) -> None:
        """Without the response's id there is nothing to ask for."""
        bookmark = Bookmark()
        bookmark.take(events()[0][:-1])
        assert not bookmark.can_go_on
        assert bookmark.path is None

    def test_it_says_where_to_go_on(self) -> None:
        """Response and number make the address; after the last event there is none."""
        bookmark, stream = Bookmark(), events()
        bookmark.take(b"".join(stream[:3]) + stream[3][:-1])
        assert bookmark.path == "/v1/responses/resp_1?stream=true&starting_after=2"
        bookmark.reopen()
        bookmark.take(b"".join(stream[3:]))
        assert bookmark.over
        assert bookmark.path is None

    @given(
        sizes=st.lists(st.integers(1, sum(LENGTHS)), max_size=6),
        again=st.integers(0, 3),
        read=st.integers(1, 200),
        line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    )
    def test_it_hands_on_each_event_once(self, sizes: list[int], again: int, read: int, line_end: bytes) -> None:
        """However reads and connections cut the stream, and what comes again, each event comes out once, in order."""
        stream = [event.replace(b"\n", line_end) for event in events()]
        bookmark, handed = Bookmark(), b""
        for size in [*sizes, None]:
            first = 0 if bookmark.after is None else max(0, bookmark.after + 1 - again)
            body = b"".join(stream[first:])[:size]
            handed += b"".join(bookmark.take(body[at : at + read]) for at in range(0, len(body), read))
            bookmark.reopen()
        assert handed == b"".join(stream)
        assert bookmark.over

    @given(st.lists(st.sampled_from([b"data: {}", b"\n", b"\n\n", b"\r", b"data: [[", b": x", b"\xff"]) | st.binary()))
    def test_bytes_that_are_no_events_come_out_as_they_went_in(self, pieces: list[bytes]) -> None:
        """Whatever is not an event that came before is the consumer's to judge."""
        bookmark = Bookmark()
        out = b"".join([bookmark.take(piece) for piece in pieces])
        assert out + bookmark.rest() == b"".join(pieces)

    def test_a_done_of_a_gateway_says_nothing(self) -> None:
        """`[DONE]` behind half an answer does not end it."""
        bookmark = Bookmark()
        bookmark.take(events()[0] + b"data: [DONE]\n\n")
        assert bookmark.can_go_on
