"""What frameworks do with the model server, each in its own words: `python frameworks.py BASE_URL NAME`.

Runs in an environment of its own, which has nothing of the lab; whatever is not as it should be raises.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel

MODEL = "lab?tokens=7&interval=1ms"
MESSAGES: Any = [{"role": "user", "content": "Count."}]


class Place(BaseModel):
    """An answer as an application describes it."""

    name: str
    kind: Literal["town", "city"]
    mayor: str | None
    streets: list[str]


def weather(place: str, days: int) -> str:
    """A tool as an application has it."""
    return f"rain in {place} for {days} days"


def whole(text: str) -> None:
    """Seven tokens came."""
    assert text.count("⟨") == 7, text


def langchain(base: str) -> None:
    """Streams, batch, tools and structured output, over Chat Completions, Responses and Messages."""
    from langchain_anthropic import ChatAnthropic
    from langchain_openai import ChatOpenAI

    openai = {"model": MODEL, "base_url": f"{base}/v1", "api_key": "any", "max_retries": 0}
    for model in (
        ChatOpenAI(**openai),
        ChatOpenAI(**openai, use_responses_api=True),
        ChatAnthropic(model=MODEL, base_url=base, api_key="any", max_tokens=99, max_retries=0),
    ):
        whole(str(model.invoke("Count.").text))
        whole("".join(str(piece.text) for piece in model.stream("Count.")))
        assert isinstance(model.with_structured_output(Place).invoke("Count."), Place)
        bound = model.bind_tools([weather])
        (call,) = bound.invoke("Count.").tool_calls
        assert (call["name"], call["args"].keys()) == ("weather", {"place", "days"}), call
        pieces = [*bound.stream("Count.")]
        joined = pieces[0]
        for piece in pieces[1:]:
            joined += piece
        assert joined.tool_calls[0]["args"] == call["args"], joined


def litellm(base: str) -> None:
    """The same through one function for all vendors."""
    import litellm as lite

    schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    for options in (
        {"model": f"openai/{MODEL}", "api_base": f"{base}/v1", "api_key": "any"},
        {"model": f"anthropic/{MODEL}", "api_base": base, "api_key": "any", "max_tokens": 99},
        {"model": f"ollama_chat/{MODEL}", "api_base": base},
    ):
        options["messages"] = MESSAGES
        whole(lite.completion(**options).choices[0].message.content)
        pieces = [*lite.completion(**options, stream=True)]
        whole("".join(piece.choices[0].delta.content or "" for piece in pieces))
        called = lite.completion(**options, tools=tools).choices[0].message.tool_calls[0].function
        assert (called.name, json.loads(called.arguments)) == ("weather", {"place": "amber"}), called
        Place.model_validate_json(lite.completion(**options, response_format=Place).choices[0].message.content)


def pydantic_ai(base: str) -> None:
    """Agents that end: with text, with an object, and with an object after a tool."""
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def with_tool(model: Any) -> Place:
        called: list[str] = []
        agent = Agent(model, output_type=Place)
        agent.tool_plain(name="weather")(lambda place: called.append(place) or "rain")
        answer = agent.run_sync("Count.").output
        assert called == ["amber"], called
        return answer

    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        model = kind(MODEL, provider=OpenAIProvider(base_url=f"{base}/v1", api_key="any"))
        whole(Agent(model).run_sync("Count.").output)
        assert isinstance(Agent(model, output_type=NativeOutput(Place)).run_sync("Count.").output, Place)
        assert isinstance(with_tool(model), Place)


def instructor(base: str) -> None:
    """Its modes for a server that calls tools, knows schemas, or only JSON; whole and in part."""
    import instructor as made
    import openai

    for mode in (made.Mode.TOOLS, made.Mode.JSON_SCHEMA, made.Mode.JSON):
        client = made.from_openai(openai.OpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0), mode=mode)
        options: Any = {"model": MODEL, "messages": MESSAGES, "response_model": Place}
        assert isinstance(client.chat.completions.create(**options, max_retries=0), Place)
        assert [*client.chat.completions.create_partial(**options)][-1].name == "amber"


def llama_index(base: str) -> None:
    """Streams, batch, tools and structured output."""
    from llama_index.core.llms import ChatMessage
    from llama_index.core.prompts import PromptTemplate
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai_like import OpenAILike

    kinds = {"is_chat_model": True, "is_function_calling_model": True}
    model = OpenAILike(model=MODEL, api_base=f"{base}/v1", api_key="any", max_retries=0, **kinds)
    whole(model.chat([ChatMessage(content="Count.")]).message.content or "")
    whole("".join(piece.delta or "" for piece in model.stream_chat([ChatMessage(content="Count.")])))
    answer = model.chat_with_tools([FunctionTool.from_defaults(weather)], user_msg="Count.")
    assert model.get_tool_calls_from_response(answer)[0].tool_name == "weather"
    assert isinstance(model.structured_predict(Place, PromptTemplate("Count.")), Place)


FRAMEWORKS: dict[str, Callable[[str], None]] = {
    each.__name__: each for each in (langchain, litellm, pydantic_ai, instructor, llama_index)
}

if __name__ == "__main__":
    FRAMEWORKS[sys.argv[2]](sys.argv[1])
