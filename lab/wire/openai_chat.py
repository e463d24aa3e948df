"""OpenAI Chat Completions: anonymous SSE events that hold JSON, ended by `data: [DONE]`.

An answer is whole when every choice has a `finish_reason` and the marker came; either alone is no
proof. The lab asks for one choice. Official SDKs leave the stream at the marker and drop an event
whose empty line never came; this reader drops it too, but accepts a bare marker as the last line,
since llama.cpp's server has been seen to end so.
"""

from __future__ import annotations

import json
from typing import Any

from . import sse
from .calls import read_calls
from .directive import find_directive
from .events import (
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Marker,
    Opening,
    OtherPiece,
    Reasoning,
    Text,
    Unreadable,
)
from .foreign import checked, harmless, unreadable, unreadable_event
from .format import (
    BROKEN,
    Ask,
    Asked,
    Reply,
    compact,
    read_limit,
    read_request,
    read_stream,
    read_text,
    read_usage,
    shortened,
)
from .openai_errors import error_document, error_kind, error_of, read_error
from .openai_wanted import read_chat_wanted, write_call

_DONE = b"[DONE]"
_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
}
_REASONS_READ = {word: reason for reason, word in _REASONS.items()}

# What an answer can consist of beside text and calls.
_OTHER_PIECES = ("audio", "images")

# A fixed birthday: the same plan must give the same bytes.
_CREATED = 1_700_000_000


class OpenAIChat:
    """The wire format of `POST /v1/chat/completions`."""

    name = "openai-chat"
    path = "/v1/chat/completions"
    url_end = "/chat/completions"
    stream_type = "text/event-stream; charset=utf-8"
    has_marker = True
    numbered = False
    document_name = "chat.completion"
    """What a batch reply calls itself, and below it a streamed piece."""
    chunk_name = "chat.completion.chunk"

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """See `WireFormat.ask`.

        Usage is not asked for (`stream_options`): no verdict needs it, and some servers that speak this
        format refuse a field that they do not know.
        """
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
            "max_completion_tokens": max_tokens,
        }
        return Ask(self.path, self.ask_headers(stream=stream), compact(body).encode())

    def ask_headers(self, *, stream: bool) -> tuple[tuple[str, str], ...]:
        """The headers of a request."""
        return (
            ("Content-Type", "application/json"),
            ("Accept", "text/event-stream" if stream else "application/json"),
        )

    def key_header(self, key: str) -> tuple[str, str]:
        """See `WireFormat.key_header`."""
        return ("Authorization", f"Bearer {key}")

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """See `WireFormat.read_ask`."""
        fields = read_request(body, "messages", planned=planned)
        return Asked(
            model=fields["model"],
            stream=read_stream(fields, default=False),
            max_tokens=read_limit(fields, "max_completion_tokens", "max_tokens"),
            include_usage=read_stream_options(fields),
            directive=find_directive(fields),
            wanted=read_chat_wanted(fields),
        )

    def opening(self, reply: Reply) -> bytes:
        """The role chunk, and the beginning of a call."""
        if not reply.wanted.tool:
            return self._event(reply, _delta({"role": "assistant", "content": "", "refusal": None}, None))
        role = self._event(reply, _delta({"role": "assistant", "content": None}, None))
        return role + self._event(reply, _delta({"tool_calls": [{"index": 0, **write_call(reply, "")}]}, None))

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One content chunk, or one of a call's arguments."""
        if reply.wanted.tool:
            return self._event(reply, _delta({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, None))
        return self._event(reply, self.piece_choice(text, None))

    def heartbeat(self) -> bytes:
        """An SSE comment; the format has no heartbeat of its own."""
        return sse.write_comment("heartbeat")

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """The chunk with the finish reason, and the usage chunk where the request asked for it."""
        finish = self._event(reply, self.piece_choice("", _reason(reply, reason)))
        if not reply.include_usage:
            return finish
        return finish + sse.write_event(compact(self._envelope(reply, [], _usage(reply, tokens))))

    def marker(self, reply: Reply) -> bytes:
        """`data: [DONE]`."""
        return sse.write_event(_DONE.decode())

    def error_event(self, kind: str, message: str) -> bytes:
        """An event with an `error` object."""
        return sse.write_event(compact(error_document(kind, message)))

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """A `chat.completion` document."""
        choice = self.whole_choice(text, None if reason is None else _reason(reply, reason))
        if reply.wanted.tool:
            choice["message"].update(content=None, tool_calls=[write_call(reply, text)])
        document = {
            "id": reply.id,
            "object": self.document_name,
            "created": _CREATED,
            "model": reply.model,
            "choices": [choice],
            "usage": _usage(reply, tokens),
        }
        return compact(document).encode()

    def error_kind(self, status: int) -> str:
        """See `WireFormat.error_kind`."""
        return error_kind(status)

    def error_body(self, kind: str, message: str) -> bytes:
        """The vendor's error document."""
        return compact(error_document(kind, message)).encode()

    def reader(self) -> OpenAIChatReader:
        """See `WireFormat.reader`."""
        return OpenAIChatReader()

    def read_batch(self, body: bytes) -> list[Event]:
        """See `WireFormat.read_batch`."""
        try:
            document = json.loads(body)
            if "error" in document and not document.get("choices"):
                return [read_error(document["error"])]
            choice = document["choices"][0]
            if not choice.keys() & {"message", "text"}:
                raise KeyError("message")
            events = checked(document, [*_read_texts(_message_of(choice), whole=True), *_read_usage(document)])
            if choice["finish_reason"] is not None:
                events += [_read_finish(choice["finish_reason"]), Marker()]
            return events
        except BROKEN as error:
            return [unreadable(f"no chat completion: {error!r}", body)]

    def piece_choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """The choice of a streamed piece; with a reason, of the one that ends the answer."""
        return _delta({"content": text} if finish_reason is None else {}, finish_reason)

    def whole_choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """The choice of a batch reply."""
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        return {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}

    def _event(self, reply: Reply, choice: dict[str, Any]) -> bytes:
        return sse.write_event(compact(self._envelope(reply, [choice], None)))

    def _envelope(self, reply: Reply, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> dict[str, Any]:
        document = {
            "id": reply.id,
            "object": self.chunk_name,
            "created": _CREATED,
            "model": reply.model,
            "system_fingerprint": "fp_lab",
            "choices": choices,
        }
        return {**document, "usage": usage} if reply.include_usage else document


class OpenAIChatReader:
    """Reads one streamed chat completion."""

    def __init__(self) -> None:
        self._parser = sse.EventParser()
        self._texts: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for item in self._parser.feed(data) for event in self._read(item)]

    def close(self) -> list[Event]:
        """See `Reader.close`."""
        tail = self._parser.tail
        if tail is None:
            return []
        if tail.data == _DONE:
            return [Marker()]
        return [Unreadable("the body ended inside an event", shortened(tail.data))]

    def _read(self, item: sse.ServerSentEvent | sse.Comment) -> list[Event]:
        if isinstance(item, sse.Comment):
            return [Heartbeat()]
        if item.data == _DONE:
            return [Marker()]
        try:
            document = json.loads(item.data)
            error = error_of(document, item.name)
            return [error] if error else [*self._read_chunk(document), *_read_usage(document)]
        except BROKEN as error:
            return unreadable_event(f"no chat completion chunk: {error!r}", item.data)

    def _read_chunk(self, document: dict[str, Any]) -> list[Event]:
        choices = [self._without_repeat(choice) for choice in document.get("choices") or [] if choice is not None]
        if not choices:
            return harmless(document)
        events = [event for choice in choices for event in _read_choice(choice)]
        self._texts += [event.text for event in events if isinstance(event, Text)]
        return checked({"choices": choices}, events)

    def _without_repeat(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Some gateways say the whole answer once more with the reason, as a message."""
        said = (choice.get("message") or {}).get("content")
        repeats = said and self._texts and not choice.get("delta") and said == "".join(self._texts)
        return {**choice, "message": None} if repeats else choice


def read_stream_options(fields: dict[str, Any]) -> bool:
    """Whether a request wants a usage event at the end of its stream.

    Raises:
        ValueError: the options are no object.
    """
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise ValueError("stream_options: must be an object")
    return bool((options or {}).get("include_usage"))


def _delta(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _reason(reply: Reply, reason: FinishReason) -> str:
    return "tool_calls" if reply.wanted.tool and reason is FinishReason.STOP else _REASONS[reason]


def _read_choice(choice: dict[str, Any]) -> list[Event]:
    delta = _message_of(choice)
    events = _read_texts(delta)
    if not events and "role" in delta:
        events.append(Opening())
    # Some servers send an empty reason with every chunk.
    if choice.get("finish_reason"):
        events.append(_read_finish(choice["finish_reason"]))
    return events


def _message_of(choice: dict[str, Any]) -> dict[str, Any]:
    """What a choice says: a piece, a message (in a stream too, with some gateways), or the text of Completions."""
    delta = {field: value for field, value in (choice.get("delta") or {}).items() if value}
    said = {**(choice.get("message") or {}), **delta}
    if not said.get("content") and choice.get("text"):
        said["content"] = choice["text"]
    return said


def _read_texts(message: dict[str, Any], *, whole: bool = False) -> list[Event]:
    """Thinking, text and other pieces of a delta or a message.

    Vendors that show the thinking do so in a field of their own, under one of two names, or as one part of a
    list (Mistral). A refusal in words is an answer: without it the reply would read as an empty one.
    """
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    inner = [part for outer in parts for part in outer.get("thinking") or []]
    thinking = read_text(message.get("reasoning_content")) or read_text(message.get("reasoning"))
    thinking += _join(inner)
    texts = (_join(parts), read_text(message.get("refusal")))
    others = (name for name in _OTHER_PIECES if message.get(name))
    return [
        *([Reasoning(thinking)] if thinking else []),
        *(Text(text) for text in texts if text),
        *read_calls(message, whole=whole),
        *(OtherPiece(name) for name in others),
    ]


def _join(parts: list[dict[str, Any]]) -> str:
    return "".join(read_text(part.get("text")) for part in parts)


def _read_finish(raw: str) -> Finish:
    return Finish(_REASONS_READ.get(raw), raw)


def _read_usage(document: dict[str, Any]) -> list[Event]:
    return [*read_usage(document.get("usage") or {}, "completion_tokens")]


def _usage(reply: Reply, tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": reply.prompt_tokens + tokens,
    }


FORMAT = OpenAIChat()
