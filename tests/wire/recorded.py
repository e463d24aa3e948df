"""Whole streams as the vendors document them, up to what ends them."""

from __future__ import annotations


def sse(kind: str, fields: str) -> bytes:
    """One named event; its type stands in its data too."""
    return f'event: {kind}\ndata: {{"type":"{kind}",{fields}}}\n\n'.encode()


CHAT = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","service_tier":"default",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,'
    b'"finish_reason":null}],"usage":null}\n\n'
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":10,"total_tokens":13}}\n\n'
)

ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: ping\ndata: {"type":"ping"}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hello"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: something_new\ndata: {"type":"something_new"}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":10}}\n\n'
)

RESPONSES_RESPONSE = (
    '"sequence_number":10,"response":{"id":"resp_1","object":"response","status":"%(status)s","error":null,'
    '"incomplete_details":%(details)s,"output":[],"usage":{"input_tokens":3,"output_tokens":10,"total_tokens":13}}'
)
"""The fields of an event that holds the response; to be filled in."""

_BEGUN = '"response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"output":[],"usage":null}'
_ITEM = '"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}'
_PART = '"item_id":"msg_1","output_index":0,"content_index":0'

RESPONSES = b"".join(
    [
        sse("response.created", f'"sequence_number":0,{_BEGUN}'),
        sse("response.in_progress", f'"sequence_number":1,{_BEGUN}'),
        sse("response.output_item.added", f'"sequence_number":2,{_ITEM}'),
        sse(
            "response.content_part.added",
            f'"sequence_number":3,{_PART},"part":{{"type":"output_text","text":"","annotations":[]}}',
        ),
        sse("keepalive", '"sequence_number":4'),
        sse("response.output_text.delta", f'"sequence_number":5,{_PART},"delta":"Hel","logprobs":[]'),
        sse("response.output_text.delta", f'"sequence_number":6,{_PART},"delta":"lo","logprobs":[]'),
    ]
)
RESPONSES_END = b"".join(
    [
        sse("response.output_text.done", f'"sequence_number":7,{_PART},"text":"Hello","logprobs":[]'),
        sse(
            "response.content_part.done",
            f'"sequence_number":8,{_PART},"part":{{"type":"output_text","text":"Hello","annotations":[]}}',
        ),
        sse(
            "response.output_item.done",
            '"sequence_number":9,"output_index":0,"item":{"id":"msg_1","type":"message","status":"completed",'
            '"role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}',
        ),
    ]
)

OLLAMA = b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"Hello"},"done":false}\n'
