from __future__ import annotations

import json

import pytest

from lab.compare.steady import extras, steady_ask
from lab.wire import FORMATS, format_named


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("stream", [True, False])
def test_every_format_keeps_its_own_fields(name: str, stream: bool) -> None:
    """What makes answers alike is added; the model server reads the same request as without."""
    form = format_named(name)
    plain, steady = (
        steady_ask(form, "a-model", stream=stream, max_tokens=9, mark="m", with_extras=extra) for extra in (False, True)
    )
    assert form.read_ask(plain.body).max_tokens == form.read_ask(steady.body).max_tokens == 9
    assert form.read_ask(steady.body).stream is stream
    assert json.loads(plain.body).items() <= json.loads(steady.body).items() or name.startswith("ollama-")


def test_where_each_vendor_keeps_the_temperature() -> None:
    """Ollama has an object of options, which keeps its limit; Anthropic knows no seed."""
    asked = {
        name: json.loads(
            steady_ask(format_named(name), "m", stream=True, max_tokens=9, mark="m", with_extras=True).body
        )
        for name in ("ollama-chat", "anthropic-messages", "openai-chat")
    }
    assert asked["ollama-chat"]["options"] == {"num_predict": 9, "temperature": 0, "seed": 1}
    assert asked["anthropic-messages"]["temperature"] == 0
    assert "seed" not in asked["anthropic-messages"]
    assert asked["openai-chat"]["stream_options"] == {"include_usage": True}
    assert "stream_options" not in extras("openai-chat", stream=False)


def test_each_request_has_a_mark_of_its_own() -> None:
    """It stands at the beginning, where a cache of beginnings ends too."""
    form = format_named("openai-chat")
    ask = steady_ask(form, "m", stream=False, max_tokens=9, mark="0a1b2c3d", with_extras=True)
    assert json.loads(ask.body)["messages"][0]["content"].startswith("[0a1b2c3d] Count")
