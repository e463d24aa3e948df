"""Requests that bring answers as alike as an endpoint can make them, asked for in a way that no cache answers. Pure.

A real model never gives the same answer twice, so all answers are made equally long: the prompt asks for far more than
the limit of tokens. Where the format has a name for it, the temperature is 0 and the seed fixed; some endpoints
refuse such fields, which is why they can be left out. Each request begins with a mark of its own, because a
gateway that keeps replies would give the second of a pair away at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lab.audit.run import PROMPT
from lab.wire.format import Ask, WireFormat, compact

_ALIKE: Mapping[str, Mapping[str, Any]] = {
    "openai-chat": {"temperature": 0, "seed": 1},
    "openai-completions": {"temperature": 0, "seed": 1},
    "openai-responses": {"temperature": 0},
    "anthropic-messages": {"temperature": 0},
    "ollama-chat": {"options": {"temperature": 0, "seed": 1}},
    "ollama-generate": {"options": {"temperature": 0, "seed": 1}},
}

_STREAMED: Mapping[str, Mapping[str, Any]] = {
    name: {"stream_options": {"include_usage": True}} for name in ("openai-chat", "openai-completions")
}
"""What makes a stream count its tokens too."""


def extras(wire_format: str, *, stream: bool) -> Mapping[str, Any]:
    """The fields beyond the format's own that make answers alike, and counted."""
    return {**_ALIKE.get(wire_format, {}), **(_STREAMED.get(wire_format, {}) if stream else {})}


def steady_ask(
    wire_format: WireFormat, model: str, *, stream: bool, max_tokens: int, mark: str, with_extras: bool
) -> Ask:
    """One request.

    Args:
        wire_format: the dialect.
        model: the model's name.
        stream: which way.
        max_tokens: the limit of the answer.
        mark: stands before the prompt, different in every request and always of one length.
        with_extras: whether to send the fields that make answers alike.
    """
    ask = wire_format.ask(model, stream=stream, max_tokens=max_tokens, prompt=f"[{mark}] {PROMPT}")
    if not with_extras:
        return ask
    return replace(ask, body=compact(_joined(json.loads(ask.body), extras(wire_format.name, stream=stream))).encode())


def _joined(fields: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where both have an object under one name, that of both."""
    joined = dict(fields)
    for name, value in more.items():
        had = fields.get(name)
        joined[name] = {**had, **value} if isinstance(had, dict) and isinstance(value, Mapping) else value
    return joined
