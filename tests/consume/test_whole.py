"""Complete means complete: no text in a foreign field, no half call of a tool, and no frame that spoils an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import permutations

import pytest

from lab.consume import Answer, Complete, Failed, FailedReason, Partial, PartialReason, ToolCall, consume
from lab.wire import FORMATS
from lab.wire.events import FinishReason
from lab.wire.format import Reply

REPLY = Reply("r1", "m")
DONE = b"data: [DONE]\n\n"
LIST = [{"content": "Good", "type": "ai"}]


def event(fields: object, name: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(fields).encode() + b"\n\n"


def choice(reason: str | None = None, **fields: object) -> bytes:
    """One piece of OpenAI's, with those fields in its choice."""
    return event({"choices": [{"index": 0, "finish_reason": reason, **fields}]})


def calls(*pieces: dict[str, object], reason: str = "tool_calls") -> bytes:
    """A stream of OpenAI's with those pieces of calls."""
    begun = b"".join(choice(delta={"tool_calls": [piece]}) for piece in pieces)
    return begun + choice(reason, delta={}) + DONE


@pytest.mark.parametrize(("read_as", "written_as"), [*permutations(FORMATS, 2)])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])
def test_no_format_takes_anothers_answer_for_an_empty_one(read_as: str, written_as: str, stream: bool) -> None:
    """Read in any other format, a whole answer is read whole, or is no complete one."""
    wire = FORMATS[written_as]
    body = wire.batch(REPLY, "Good", FinishReason.STOP, 1)
    if stream:
        last = wire.finish(REPLY, FinishReason.STOP, 1, "Good") + wire.marker(REPLY)
        body = wire.opening(REPLY) + wire.text(REPLY, "Good") + last
    answer = consume([body], wire_format=read_as, stream=stream)
    assert not isinstance(answer, Complete) or answer.text == "Good"


NEAR = {
    "text in the choice": ("openai-chat", choice("stop", text="Good") + DONE),
    "a role, and the text beside it": ("openai-chat", choice("stop", delta={"role": "assistant"}, text="Good") + DONE),
    "a message": ("openai-chat", choice("stop", message={"content": "Good"}) + DONE),
    "a message behind an empty piece": (
        "openai-chat",
        choice("stop", delta={"content": ""}, message={"content": "Good"}) + DONE,
    ),
    "the whole once more": (
        "openai-chat",
        choice(delta={"content": "Good"}) + choice("stop", message={"content": "Good"}) + DONE,
    ),
    "Ollama's other field": ("ollama-chat", b'{"response":"Good","done":true,"done_reason":"stop"}\n'),
    "Responses, all of it at the end": (
        "openai-responses",
        event(
            {
                "type": "response.completed",
                "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Good"}]}]},
            }
        ),
    ),
}


def ag_ui(*events: dict[str, object]) -> bytes:
    """A run of AG-UI's with those events between its two pieces of text and its end."""
    pieces = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": delta} for delta in ("Go", "od")]
    begun = [{"type": "RUN_STARTED", "runId": "r1"}, {"type": "TEXT_MESSAGE_START", "messageId": "m1"}]
    ended = [{"type": "TEXT_MESSAGE_END", "messageId": "m1"}, *events]
    return b"".join(event(each) for each in (*begun, *pieces, *ended))


FINISHED: dict[str, object] = {"type": "RUN_FINISHED", "runId": "r1"}
SAID: list[dict[str, str]] = [{"id": "m1", "role": "assistant", "content": "Good"}]
NEAR |= {
    "AG-UI": ("sse", ag_ui(FINISHED)),
    "AG-UI with a call of a tool": (
        "sse",
        ag_ui(
            {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "write"},
            {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": '{"path": "a.txt"}'},
            {"type": "TOOL_CALL_RESULT", "toolCallId": "c1", "content": "written"},
            FINISHED,
        ),
    ),
    "AG-UI that repeats it all": ("sse", ag_ui({"type": "MESSAGES_SNAPSHOT", "messages": SAID}, FINISHED)),
    "bare text, of which a piece is a list": ("sse", b'data: x =\n\ndata: ["a"]\n\nevent: done\n\n'),
}


@pytest.mark.parametrize(("name", "body"), NEAR.values(), ids=NEAR)
def test_text_in_a_near_dialects_field_is_read(name: str, body: bytes) -> None:
    """Once, and as the answer."""
    answer = consume([body], wire_format=name)
    assert isinstance(answer, Complete)
    assert answer.text == ('x =["a"]' if b"x =" in body else "Good")


def test_a_run_that_does_not_finish_is_partial() -> None:
    """AG-UI's last event is its only sign of an end."""
    answer = consume([ag_ui()], wire_format="sse")
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.NO_MARKER


def test_an_answer_that_is_taken_back_is_not_whole_nor_told_twice() -> None:
    """Dify's moderation says what is to stand in its place, which is not the model's."""
    body = event({"event": "message", "answer": "Bad"})
    body += event({"event": "message_replace", "answer": "I cannot say that."}) + event({"event": "message_end"})
    answer = consume([body], wire_format="sse")
    assert isinstance(answer, Partial)
    assert (answer.text, answer.reason) == ("Bad", PartialReason.CONTENT_FILTER)


FOREIGN = {
    "a delta's text": ("openai-chat", choice("stop", delta={"text": "Good"}) + DONE, "openai-chat"),
    "Ollama's in SSE": ("openai-chat", event({"response": "Good", "done": False}) + choice("stop") + DONE, "ollama"),
    "llama.cpp's own": ("ollama-chat", b'{"content":"Good","stop":true,"done":true,"done_reason":"stop"}\n', "done"),
    "Anthropic's older one": (
        "anthropic-messages",
        event({"type": "completion", "completion": "Good"})
        + event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
        + event({"type": "message_stop"}),
        "older",
    ),
    "LangGraph's list": ("sse", event(LIST, "messages/partial") + event({"finish_reason": "stop"}), "langgraph"),
    "LangGraph's state": (
        "sse",
        event({"messages": [{"type": "ai", "content": "Good"}]}, "values") + b"event: end\n\n",
        "langgraph",
    ),
    "a list of texts": ("sse", event(["Good"]) + b"event: done\n\n", "no format"),
    "AG-UI's conversation alone": (
        "sse",
        event({"type": "MESSAGES_SNAPSHOT", "messages": SAID}) + event(FINISHED),
        "AG-UI",
    ),
    "the Assistants'": (
        "sse",
        event(
            {"object": "thread.message.delta", "delta": {"content": [{"type": "text", "text": {"value": "Good"}}]}},
            "thread.message.delta",
        )
        + b"event: done\ndata: [DONE]\n\n",
        "Assistants",
    ),
}


@pytest.mark.parametrize(("name", "body", "whose"), FOREIGN.values(), ids=FOREIGN)
def test_text_that_is_not_read_fails_and_says_whose_it_is(name: str, body: bytes, whose: str) -> None:
    """Never complete: asked in the right format, the same reply may well be."""
    answer = consume([body], wire_format=name)
    assert isinstance(answer, Failed)
    assert answer.reason is FailedReason.WRONG_REPLY
    assert "its text stands where" in answer.detail
    assert whose in answer.detail


HARMLESS = {
    "usage with choices null": event({"choices": None, "usage": {"completion_tokens": 2}}),
    "usage alone": event({"usage": {"completion_tokens": 2}}),
    "a ping": event({"type": "ping"}),
    "no data": b"data:\n\n",
    "a name alone": b"event: keep-alive\n\n",
    "an empty object": b"data: {}\n\n",
    "no choice": event({"choices": [None]}),
    "nothing in JSON": b"data: null\n\n",
    "an empty list": b"data: []\n\n",
}


@pytest.mark.parametrize("frame", HARMLESS.values(), ids=HARMLESS)
def test_a_frame_that_cannot_hide_text_spoils_nothing(frame: bytes) -> None:
    """Wherever it stands, the answer is whole."""
    one, two = choice(delta={"content": "Good "}), choice("stop", delta={"content": "morning"})
    for body in (frame + one + two + DONE, one + frame + two + DONE, one + two + frame + DONE):
        answer = consume([body])
        assert isinstance(answer, Complete)
        assert answer.text == "Good morning"


def test_a_wrapped_comment_is_named() -> None:
    """It may have been anything, so it is not passed over; but it is known for what it is."""
    answer = consume([b"data: : PROCESSING\n\n" + choice("stop", delta={"content": "Good"}) + DONE])
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.MALFORMED
    assert "a comment that a gateway wrapped as data" in answer.detail


def openai_call(arguments: str) -> bytes:
    """A call in two pieces."""
    head = {"index": 0, "id": "c1", "function": {"name": "write", "arguments": arguments[:3]}}
    return calls(head, {"index": 0, "function": {"arguments": arguments[3:]}})


def anthropic_call(arguments: str) -> bytes:
    """The same of Anthropic."""
    block = {"type": "tool_use", "id": "c1", "name": "write", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": arguments}
    return b"".join(
        event(fields)
        for fields in (
            {"type": "content_block_start", "index": 1, "content_block": block},
            {"type": "content_block_delta", "index": 1, "delta": delta},
            {"type": "content_block_stop", "index": 1},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
            {"type": "message_stop"},
        )
    )


def responses_call(arguments: str) -> bytes:
    """The same of Responses."""
    item = {"type": "function_call", "call_id": "c1", "name": "write", "arguments": ""}
    return b"".join(
        event(fields)
        for fields in (
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": arguments},
            {"type": "response.completed", "response": {}},
        )
    )


def ollama_call(arguments: str) -> bytes:
    """The same of Ollama, by a gateway that has the arguments as text."""
    message = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "write", "arguments": arguments}}]}
    return json.dumps({"message": message, "done": True, "done_reason": "stop"}).encode() + b"\n"


WRITERS = {
    "openai-chat": openai_call,
    "anthropic-messages": anthropic_call,
    "openai-responses": responses_call,
    "ollama-chat": ollama_call,
    "sse": openai_call,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_whole_call_is_handed_out(name: str) -> None:
    """With its name, its id and its arguments."""
    answer = consume([WRITERS[name]('{"path": "a.txt"}')], wire_format=name)
    assert isinstance(answer, Complete)
    assert answer.tool_calls == (ToolCall("write", '{"path": "a.txt"}', "c1"),)
    assert answer.tool_calls[0].fields == {"path": "a.txt"}


@pytest.mark.parametrize("arguments", ['{"path": "a.txt", "te', "12", '{}{"path": 1}'])
@pytest.mark.parametrize("name", WRITERS)
def test_a_call_without_whole_arguments_is_not_complete(name: str, arguments: str) -> None:
    """A number may be the half of a longer one, so only an object is whole."""
    answer = consume([WRITERS[name](arguments)], wire_format=name)
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.TOOL_CALL
    assert answer.detail == "the arguments of the call of `write` are no whole JSON"


def test_calls_that_a_gateway_numbers_alike_are_two() -> None:
    """By their ids, which differ."""
    one, two = ({"index": 0, "id": i, "function": {"name": i, "arguments": "{}"}} for i in "ab")
    answer = consume([calls(one, two)])
    assert isinstance(answer, Complete)
    assert answer.tool_calls == (ToolCall("a", "{}", "a"), ToolCall("b", "{}", "b"))


SURROGATES = {
    "halves of one character in two pieces": ([r"a\ud83d", r"\ude00b"], "a\U0001f600b"),
    "a first half alone": ([r"a\ud83d", "b"], "a\ufffdb"),
    "a second half alone": ([r"a\ude00b"], "a\ufffdb"),
    "a first half at the end": ([r"a\ud83d"], "a\ufffd"),
}


@pytest.mark.parametrize(("pieces", "text"), SURROGATES.values(), ids=SURROGATES)
def test_no_half_of_a_character_reaches_the_text(pieces: list[str], text: str) -> None:
    """Two halves are joined, and one alone is replaced, so that the text can be written anywhere."""
    body = b"".join(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % piece.encode() for piece in pieces)
    answer = consume([body + choice("stop", delta={}) + DONE])
    assert isinstance(answer, Complete)
    assert answer.text == text


ERRORS = {
    "llama.cpp's field": ("openai-chat", b'error: {"code":500,"message":"out of memory","type":"server_error"}\n\n'),
    "a named event": ("openai-chat", event({"message": "out of memory"}, "error")),
    "a field that nobody knows": ("openai-chat", event({"error": {"reason": "out of memory"}})),
    "Dify's": ("sse", event({"event": "error", "status": 400, "message": "out of memory"})),
    "Dify's workflow": (
        "sse",
        event({"event": "workflow_finished", "data": {"status": "failed", "error": "out of memory"}}),
    ),
    "AG-UI's": ("sse", event({"type": "RUN_ERROR", "message": "out of memory", "code": "oom"})),
    "Flowise's": ("sse", event({"event": "error", "data": "out of memory"})),
}


@pytest.mark.parametrize(("name", "error"), ERRORS.values(), ids=ERRORS)
def test_an_error_keeps_the_servers_words(name: str, error: bytes) -> None:
    """Wherever in the event they stand."""
    answer: Answer = consume([choice(delta={"content": "Good"}) + error], wire_format=name)
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.MODEL_ERROR
    assert "out of memory" in answer.detail


def test_a_reason_and_a_clean_end_are_enough_where_no_marker_is_standard() -> None:
    """Gemini's streams just stop; cut behind the reason, one is partial."""
    body = event({"candidates": [{"content": {"parts": [{"text": "Good"}]}, "finishReason": "STOP"}]})
    assert isinstance(consume([body], wire_format="sse"), Complete)

    def cut() -> Iterator[bytes]:
        yield body
        raise ConnectionResetError

    answer = consume(cut(), wire_format="sse")
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.CUT
