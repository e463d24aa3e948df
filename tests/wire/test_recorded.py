"""Bytes written by hand from the vendors' documents, so that writer and reader cannot be wrong together."""

from __future__ import annotations

import pytest

from lab.wire import format_named
from lab.wire.events import (
    CallPiece,
    Contradiction,
    ErrorEvent,
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
    Usage,
)

from .recorded import ANTHROPIC, CHAT, OLLAMA, RESPONSES, RESPONSES_END, RESPONSES_RESPONSE, sse

STOP = Finish(FinishReason.STOP, "stop")
LENGTH = Finish(FinishReason.LENGTH, "length")

CHAT_CASES: dict[str, tuple[bytes, list[Event]]] = {
    "whole": (
        CHAT + b"data: [DONE]\n\n",
        [Opening(), Heartbeat(), Text("Hello"), STOP, Usage(10), Marker()],
    ),
    "a marker without its empty line (llama.cpp)": (b"data: [DONE]", [Marker()]),
    "an error in the stream": (
        b'data: {"error":{"message":"gone","type":"server_error","param":null,"code":null}}\n\n',
        [ErrorEvent("server_error", "gone")],
    ),
    "an error with a code and no type": (
        b'data: {"error":{"message":"gone","code":502},"choices":[]}\n\n',
        [ErrorEvent("502", "gone")],
    ),
    "a finish reason that the lab has no word for": (
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
        [Finish(None, "tool_calls")],
    ),
    "a tool is called": (
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}\n\n',
        [CallPiece("tool_calls", 0, arguments="{}")],
    ),
    "sound": (b'data: {"choices":[{"delta":{"audio":{"transcript":"Hi"}}}]}\n\n', [OtherPiece("audio")]),
    "text and reason in one chunk": (
        b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"length"}]}\n\n',
        [Text("x"), LENGTH],
    ),
    "thinking (DeepSeek, vLLM)": (
        b'data: {"choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":"Hm"}}]}\n\n',
        [Reasoning("Hm")],
    ),
    "thinking (OpenRouter)": (
        b'data: {"choices":[{"delta":{"role":"assistant","content":"","reasoning":"Hm"}}]}\n\n',
        [Reasoning("Hm")],
    ),
    "thinking (Mistral)": (
        b'data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},'
        b'{"type":"text","text":"Hi"}]}}]}\n\n',
        [Reasoning("Hm"), Text("Hi")],
    ),
    "a refusal in words": (b'data: {"choices":[{"delta":{"refusal":"No."}}]}\n\n', [Text("No.")]),
    "usage without a count of what was written": (
        b'data: {"choices":[],"usage":{"prompt_tokens":3}}\n\n',
        [],
    ),
}

ANTHROPIC_CASES: dict[str, tuple[bytes, list[Event]]] = {
    "whole": (
        ANTHROPIC + b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        [Opening(), Heartbeat(), Text("Hello"), Finish(FinishReason.STOP, "end_turn"), Usage(10), Marker()],
    ),
    "a tool is called": (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"input_json_delta","partial_json":"{"}}\n\n',
        [CallPiece("tool_use", 0, arguments="{")],
    ),
    "an error in the stream": (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        [ErrorEvent("overloaded_error", "Overloaded")],
    ),
    "a refusal": (
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal"}}\n\n',
        [Finish(FinishReason.CONTENT_FILTER, "refusal")],
    ),
    "a block that begins with text": (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":"Hi"}}\n\n',
        [Text("Hi")],
    ),
    "thinking and its signature": (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"thinking_delta","thinking":"Hm"}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"signature_delta","signature":"x"}}\n\n',
        [Reasoning("Hm")],
    ),
}


def done(text: str) -> bytes:
    """The event that repeats the whole text."""
    return sse(
        "response.output_text.done",
        f'"item_id":"msg_1","output_index":0,"content_index":0,"text":"{text}","logprobs":[]',
    )


def ended(status: str, details: str = "null") -> bytes:
    """A terminal event."""
    return sse(f"response.{status}", RESPONSES_RESPONSE % {"status": status, "details": details})


RESPONSES_CASES: dict[str, tuple[bytes, list[Event]]] = {
    "whole": (
        RESPONSES + RESPONSES_END + ended("completed"),
        [Opening(), Heartbeat(), Text("Hel"), Text("lo"), Finish(FinishReason.STOP, "completed"), Usage(10), Marker()],
    ),
    "whole, and a marker that is none (compatible servers)": (
        ended("completed") + b"data: [DONE]\n\n",
        [Finish(FinishReason.STOP, "completed"), Usage(10), Marker()],
    ),
    "a marker that is none behind half an answer": (
        RESPONSES + b"data: [DONE]\n\n",
        [Opening(), Heartbeat(), Text("Hel"), Text("lo")],
    ),
    "whole without the last empty line": (
        ended("completed").rstrip(),
        [Finish(FinishReason.STOP, "completed"), Usage(10), Marker()],
    ),
    "token limit": (
        ended("incomplete", '{"reason":"max_output_tokens"}'),
        [Finish(FinishReason.LENGTH, "max_output_tokens"), Usage(10), Marker()],
    ),
    "content filter": (
        ended("incomplete", '{"reason":"content_filter"}'),
        [Finish(FinishReason.CONTENT_FILTER, "content_filter"), Usage(10), Marker()],
    ),
    "stopped for a reason that the lab has no word for": (
        ended("incomplete", '{"reason":"steered"}'),
        [Finish(None, "steered"), Usage(10), Marker()],
    ),
    "cancelled": (ended("cancelled"), [Finish(None, "cancelled"), Usage(10), Marker()]),
    "failed": (
        sse(
            "response.failed",
            '"response":{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"gone"}}',
        ),
        [ErrorEvent("server_error", "gone")],
    ),
    "an error, flat as documented": (
        sse("error", '"code":"server_error","message":"gone","param":null,"sequence_number":2'),
        [ErrorEvent("server_error", "gone")],
    ),
    "an error, nested as sent": (
        sse(
            "error",
            '"sequence_number":2,"error":{"type":"server_error","code":"x","message":"gone","param":null}',
        ),
        [ErrorEvent("server_error", "gone")],
    ),
    "the repeated text is not what came": (
        RESPONSES + done("Hallo"),
        [
            Opening(),
            Heartbeat(),
            Text("Hel"),
            Text("lo"),
            Contradiction("response.output_text.done repeats 5 characters, which are not the 5 that came", b"Hallo"),
        ],
    ),
    "the repeated text is longer than what a resumed stream has": (
        sse("response.output_text.delta", '"sequence_number":6,"output_index":0,"content_index":0,"delta":"lo"')
        + done("Hello"),
        [Text("lo")],
    ),
    "the text comes only as a whole": (done("Hello"), [Text("Hello")]),
    "a refusal in words": (
        sse("response.refusal.delta", '"output_index":0,"content_index":0,"delta":"No."')
        + sse("response.refusal.done", '"output_index":0,"content_index":0,"refusal":"No."'),
        [Text("No.")],
    ),
    "thinking": (
        sse("response.reasoning_text.delta", '"output_index":0,"content_index":0,"delta":"H"')
        + sse("response.reasoning_summary_text.delta", '"output_index":0,"summary_index":0,"delta":"m"'),
        [Reasoning("H"), Reasoning("m")],
    ),
    "an event that came twice": (
        sse("response.output_text.delta", '"sequence_number":5,"output_index":0,"content_index":0,"delta":"a"') * 2,
        [Text("a"), Contradiction("", b""), Text("a")],
    ),
    "an event that never came": (
        RESPONSES + ended("completed"),
        [
            Opening(),
            Heartbeat(),
            Text("Hel"),
            Text("lo"),
            Contradiction("no event came between 6 and 10", b""),
            Finish(FinishReason.STOP, "completed"),
            Usage(10),
            Marker(),
        ],
    ),
    "a keep-alive that a gateway dropped": (
        RESPONSES.replace(sse("keepalive", '"sequence_number":4'), b"") + RESPONSES_END + ended("completed"),
        [Opening(), Text("Hel"), Text("lo"), Finish(FinishReason.STOP, "completed"), Usage(10), Marker()],
    ),
    "a tool is called": (
        sse("response.function_call_arguments.delta", '"output_index":0,"delta":"{}"')
        + sse("response.function_call_arguments.done", '"output_index":0,"arguments":"{}"'),
        [CallPiece("function_call_arguments", 0, arguments="{}")],
    ),
    "a type that nobody knows": (sse("response.something.new", '"x":1'), [Opening()]),
}

OLLAMA_CASES: dict[str, tuple[bytes, list[Event]]] = {
    "whole": (
        OLLAMA + b'{"model":"m","created_at":"t","message":{"role":"assistant","content":""},"done":true,'
        b'"done_reason":"stop","total_duration":9,"eval_count":10}\n',
        [Text("Hello"), STOP, Usage(10), Marker()],
    ),
    "token limit, without the last line end": (
        b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"length"}',
        [LENGTH, Marker()],
    ),
    "done without a reason is a cut": (
        OLLAMA + b'{"model":"m","message":{"role":"assistant","content":""},"done":true,"eval_count":3}\n',
        [Text("Hello"), Usage(3)],
    ),
    "an error in the stream": (
        b'{"error":"model runner has stopped"}\n',
        [ErrorEvent("error", "model runner has stopped")],
    ),
    "thinking": (
        b'{"model":"m","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}\n',
        [Reasoning("Hm")],
    ),
    "a tool is called": (
        b'{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"function":{}}]},"done":false}\n',
        [CallPiece("tool_calls")],
    ),
    "an empty line": (b"\n" + OLLAMA, [Heartbeat(), Text("Hello")]),
    "half a line": (OLLAMA[:-20], [Unreadable("", b"")]),
}

SSE_CASES: dict[str, tuple[bytes, list[Event]]] = {
    "bare text": (
        b"data: Hel\n\ndata: lo {\n\ndata: {\n\ndata: 5\n\ndata: [DONE]\n\n",
        [Text("Hel"), Text("lo {"), Text("{"), Text("5"), Finish(FinishReason.STOP, "[DONE]"), Marker()],
    ),
    "JSON strings": (
        b'data: "Hel\\n"\n\nevent: end\ndata:\n\n',
        [Text("Hel\n"), Finish(FinishReason.STOP, "end"), Marker()],
    ),
    "a line break as text": (b"data:\ndata:\n\n", [Text("\n")]),
    "nothing at all": (b"data:\n\n", [Heartbeat()]),
    "a chat's deltas and a named end": (
        b'data: {"choices":[{"delta":{"content":"Hi","role":"assistant"},"finish_reason":null}]}\n\n'
        b'event: complete\ndata: {"text":"Hi","usage":{"output_tokens":2},"finish_reason":"length"}\n\n',
        [Text("Hi"), LENGTH, Usage(2), Marker()],
    ),
    "a user interface's parts (Vercel)": (
        b'data: {"type":"start"}\n\ndata: {"type":"reasoning-delta","id":"0","delta":"Hm"}\n\n'
        b'data: {"type":"text-delta","id":"1","delta":"Hi"}\n\ndata: {"type":"finish"}\n\ndata: [DONE]\n\n',
        [Opening(), Reasoning("Hm"), Text("Hi"), Finish(FinishReason.STOP, "finish"), Marker(), Marker()],
    ),
    "a token with its details (Hugging Face)": (
        b'data: {"token":{"id":1,"text":"Hi","special":false},"generated_text":"Hi","details":'
        b'{"finish_reason":"length"}}\n\n',
        [Text("Hi"), LENGTH],
    ),
    "a marker where a reason was to be expected": (
        b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}\n\ndata: [DONE]\n\n',
        [Text("Hi"), Marker()],
    ),
    "Dify's chat": (
        b'data: {"event":"message","answer":"Hi"}\n\ndata: {"event":"message_end","metadata":{}}\n\n',
        [Text("Hi"), Finish(FinishReason.STOP, "message_end"), Marker()],
    ),
    "Dify's workflow": (
        b'event: ping\n\ndata: {"event":"text_chunk","data":{"text":"Hi"}}\n\n'
        b'data: {"event":"workflow_finished","data":{"outputs":{"text":"Hi"}}}\n\n',
        [Heartbeat(), Text("Hi"), Finish(FinishReason.STOP, "workflow_finished"), Marker()],
    ),
    "Dify's workflow, stopped": (
        b'data: {"event":"text_chunk","data":{"text":"Hi"}}\n\n'
        b'data: {"event":"workflow_finished","data":{"status":"stopped"}}\n\n',
        [Text("Hi"), ErrorEvent("workflow stopped", "")],
    ),
    "Flowise": (
        b'data: {"event":"start","data":[]}\n\ndata: {"event":"token","data":"Hi"}\n\n'
        b'data: {"event":"end","data":"[DONE]"}\n\n',
        [Opening(), Text("Hi"), Finish(FinishReason.STOP, "end"), Marker()],
    ),
    "Cohere": (
        b'data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}\n\n'
        b'data: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n',
        [Text("Hi"), Finish(FinishReason.STOP, "COMPLETE")],
    ),
    "LangServe": (
        b'event: metadata\ndata: {"run_id":"1"}\n\nevent: data\ndata: {"content":"Hi","response_metadata":{}}\n\n'
        b"event: end\n\n",
        [Opening(), Text("Hi"), Finish(FinishReason.STOP, "end"), Marker()],
    ),
    "LangGraph's messages": (
        b'event: messages\ndata: [{"type":"human","content":"Say hi"},{"langgraph_node":"a"}]\n\n'
        b'event: messages\ndata: [{"type":"AIMessageChunk","content":"Hi","response_metadata":{}},{}]\n\n'
        b"event: end\ndata: null\n\n",
        [Opening(), Text("Hi"), Finish(FinishReason.STOP, "end"), Marker()],
    ),
    "llama.cpp's own": (
        b'data: {"content":"Hi","stop":false,"stop_type":"none"}\n\n'
        b'data: {"content":"","stop":true,"stop_type":"limit"}\n\n',
        [Text("Hi"), Finish(FinishReason.LENGTH, "limit"), Marker()],
    ),
    "Gemini's thoughts": (
        b'data: {"candidates":[{"content":{"parts":[{"text":"Hm","thought":true}]}}]}\n\n',
        [Opening()],
    ),
    "Gemini": (
        b'data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"finishReason":"STOP"}]}\n\n',
        [Text("Hi"), Finish(FinishReason.STOP, "STOP")],
    ),
    "a status message is no text": (b'data: {"type":"status","message":"searching"}\n\n', [Opening()]),
    "a named heartbeat": (b"event: ping\ndata: {}\n\n", [Heartbeat()]),
    "a named error in words": (b"event: error\ndata: gone\n\n", [ErrorEvent("error", "gone")]),
    "a named error with fields": (
        b'event: error\ndata: {"code":"overloaded","message":"gone"}\n\n',
        [ErrorEvent("overloaded", "gone")],
    ),
    "an error at the top": (b'data: {"error":"gone"}\n\n', [ErrorEvent("error", "gone")]),
    "bytes that are no UTF-8": (b"data: \xff\n\n", [Unreadable("", b"")]),
    "an end without its empty line": (b"event: done\ndata: {}", [Finish(FinishReason.STOP, "done"), Marker()]),
}

NDJSON_CASES: dict[str, tuple[bytes, list[Event]]] = {
    "Ollama's other endpoint": (
        b'{"model":"m","response":"Hi","done":false}\n{"response":"","done":true,"done_reason":"stop","eval_count":1}\n',
        [Text("Hi"), STOP, Usage(1), Marker()],
    ),
    "strings": (b'"Hi"\n\n"there"\n', [Text("Hi"), Heartbeat(), Text("there")]),
    "no end at all": (b'{"content":"Hi"}', [Text("Hi")]),
    "an error": (b'{"error":{"message":"gone","type":"server_error"}}\n', [ErrorEvent("server_error", "gone")]),
    "a mark at the very start": (b'\xef\xbb\xbf{"delta":"Hi"}\n', [Text("Hi")]),
    "a list is no line of this format": (b"[1]\n", [Unreadable("", b"")]),
}

ALL = {
    f"{name}, {case}": (name, raw, expected)
    for name, cases in {
        "openai-chat": CHAT_CASES,
        "anthropic-messages": ANTHROPIC_CASES,
        "openai-responses": RESPONSES_CASES,
        "ollama-chat": OLLAMA_CASES,
        "sse": SSE_CASES,
        "ndjson": NDJSON_CASES,
    }.items()
    for case, (raw, expected) in cases.items()
}


def read(name: str, pieces: list[bytes]) -> list[Event]:
    """Read a stream from pieces, its end included."""
    reader = format_named(name).reader()
    return [*(event for piece in pieces for event in reader.feed(piece)), *reader.close()]


def without_words(events: list[Event], expected: list[Event]) -> list[Event]:
    """The events, with the words of an unreadable one left out where the case does not give any."""
    vague = [event for event in expected if isinstance(event, Unreadable) and not event.why]
    return [type(event)("", b"") if vague and isinstance(event, Unreadable) else event for event in events]


@pytest.mark.parametrize(("name", "raw", "expected"), ALL.values(), ids=ALL)
def test_the_vendors_own_bytes_are_read(name: str, raw: bytes, expected: list[Event]) -> None:
    """Bytes as the vendors document them, whole, cut in two at every byte, byte by byte, and with CRLF."""
    cuts = [[raw[:place], raw[place:]] for place in range(len(raw))]
    for pieces in (*cuts, [bytes([byte]) for byte in raw]):
        assert without_words(read(name, pieces), expected) == expected
    if raw.endswith(b"\n"):
        assert without_words(read(name, [raw.replace(b"\n", b"\r\n")]), expected) == expected


BATCHES: dict[str, tuple[str, bytes, list[Event]]] = {
    "openai-chat, a refusal and thinking": (
        "openai-chat",
        b'\n\n{"choices":[{"message":{"content":null,"refusal":"No.","reasoning":"Hm"},"finish_reason":"stop"}]}',
        [Reasoning("Hm"), Text("No."), STOP, Marker()],
    ),
    "anthropic, thinking": (
        "anthropic-messages",
        b'{"type":"message","content":[{"type":"thinking","thinking":"Hm"},{"type":"text","text":"Hi"}],'
        b'"stop_reason":"end_turn","usage":{"output_tokens":2}}',
        [Reasoning("Hm"), Text("Hi"), Usage(2), Finish(FinishReason.STOP, "end_turn"), Marker()],
    ),
    "responses, thinking before the message": (
        "openai-responses",
        b'{"object":"response","status":"completed","error":null,"output":[{"type":"reasoning","summary":'
        b'[{"type":"summary_text","text":"Hm"}]},{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],'
        b'"usage":{"output_tokens":2}}',
        [Reasoning("Hm"), Text("Hi"), Finish(FinishReason.STOP, "completed"), Usage(2), Marker()],
    ),
    "responses, failed": (
        "openai-responses",
        b'{"object":"response","status":"failed","error":{"code":"server_error","message":"gone"},"output":[]}',
        [ErrorEvent("server_error", "gone")],
    ),
    "responses, failed in the middle": (
        "openai-responses",
        b'{"object":"response","status":"failed","error":{"code":"server_error","message":"gone"},'
        b'"output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}',
        [Text("Hi"), ErrorEvent("server_error", "gone")],
    ),
    "responses, cancelled": (
        "openai-responses",
        b'{"object":"response","status":"cancelled","output":[]}',
        [Finish(None, "cancelled"), Marker()],
    ),
    "responses, still queued": (
        "openai-responses",
        b'{"object":"response","status":"queued","output":[]}',
        [Opening()],
    ),
    "ollama": (
        "ollama-chat",
        b'{"message":{"role":"assistant","content":"Hi"},"done":true,"done_reason":"length","eval_count":1}',
        [Text("Hi"), LENGTH, Usage(1), Marker()],
    ),
    "a chat's document, read without knowing": (
        "ndjson",
        b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"length"}],"usage":{"completion_tokens":1}}',
        [Text("Hi"), LENGTH, Usage(1), Marker()],
    ),
}


@pytest.mark.parametrize(("name", "raw", "expected"), BATCHES.values(), ids=BATCHES)
def test_the_vendors_own_documents_are_read(name: str, raw: bytes, expected: list[Event]) -> None:
    """Batch replies as the vendors document them."""
    assert format_named(name).read_batch(raw) == expected
