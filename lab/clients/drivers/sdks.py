"""The SDKs of OpenAI, Anthropic and Ollama, LangChain and LiteLLM; the first two also through `lab.consume`."""

# Runs where other packages are installed than the lab's, so types cannot be checked; names say what is asked.
# mypy: ignore-errors
# ruff: noqa: D103

import os

import _cells

_MODULES = (
    "httpx",
    "httpx2",
    "openai",
    "anthropic",
    "ollama",
    "langchain_openai",
    "langchain_anthropic",
    "litellm",
    "lab.consume.sdk",
)
# LiteLLM would fetch its list of prices from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"

QUESTION = [{"role": "user", "content": "Count."}]


def _openai(cell):
    import openai

    return openai.OpenAI(
        base_url=cell["base"] + "/v1", api_key="none", timeout=cell["timeout"], default_headers=_cells.headers(cell)
    )


def _anthropic(cell):
    import anthropic

    return anthropic.Anthropic(
        base_url=cell["base"], api_key="none", timeout=cell["timeout"], default_headers=_cells.headers(cell)
    )


def openai_chat(cell, seen):
    for chunk in _openai(cell).chat.completions.create(model="lab", messages=QUESTION, stream=True):
        for choice in chunk.choices:
            seen.text.append(choice.delta.content or "")
            seen.finish = choice.finish_reason or seen.finish


def openai_responses(cell, seen):
    for event in _openai(cell).responses.create(model="lab", input="Count.", stream=True):
        if event.type == "response.output_text.delta":
            seen.text.append(event.delta)
        elif event.type in ("response.completed", "response.incomplete", "response.failed"):
            details = event.response.incomplete_details
            seen.finish = details.reason if details else event.response.status


def anthropic_messages(cell, seen):
    for event in _anthropic(cell).messages.create(model="lab", messages=QUESTION, max_tokens=1000, stream=True):
        if event.type == "content_block_delta":
            seen.text.append(event.delta.text)
        elif event.type == "message_delta":
            seen.finish = event.delta.stop_reason or seen.finish


def ollama_chat(cell, seen):
    import ollama

    client = ollama.Client(host=cell["base"], headers=_cells.headers(cell), timeout=cell["timeout"])
    for part in client.chat(model="lab", messages=QUESTION, stream=True):
        seen.text.append(part.message.content or "")
        seen.finish = part.done_reason or seen.finish


def openai_consume(cell, seen):
    from lab.consume.sdk import read

    client = _openai(cell)
    _cells.consumed(read(lambda: client.chat.completions.create(model="lab", messages=QUESTION, stream=True)), seen)


def responses_consume(cell, seen):
    from lab.consume.sdk import read

    client = _openai(cell)
    _cells.consumed(read(lambda: client.responses.create(model="lab", input="Count.", stream=True)), seen)


def anthropic_consume(cell, seen):
    from lab.consume.sdk import read

    client = _anthropic(cell)
    ask = {"model": "lab", "messages": QUESTION, "max_tokens": 1000, "stream": True}
    _cells.consumed(read(lambda: client.messages.create(**ask)), seen)


def langchain_openai(cell, seen):
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        model="lab",
        base_url=cell["base"] + "/v1",
        api_key="none",
        timeout=cell["timeout"],
        default_headers=_cells.headers(cell),
    )
    for chunk in model.stream("Count."):
        seen.text.append(chunk.content if isinstance(chunk.content, str) else "")
        seen.finish = chunk.response_metadata.get("finish_reason") or seen.finish


def langchain_anthropic(cell, seen):
    from langchain_anthropic import ChatAnthropic

    model = ChatAnthropic(
        model="lab",
        base_url=cell["base"],
        api_key="none",
        timeout=cell["timeout"],
        default_headers=_cells.headers(cell),
    )
    for chunk in model.stream("Count."):
        if isinstance(chunk.content, str):
            seen.text.append(chunk.content)
        else:
            seen.text.extend(block.get("text", "") for block in chunk.content)
        seen.finish = chunk.response_metadata.get("stop_reason") or seen.finish


def litellm_openai(cell, seen):
    _litellm(cell, seen, "openai/lab", cell["base"] + "/v1")


def litellm_anthropic(cell, seen):
    _litellm(cell, seen, "anthropic/lab", cell["base"])


def _litellm(cell, seen, model, base):
    import litellm

    # Its hints on errors go to the standard output, which is the harness's.
    litellm.suppress_debug_info = True
    for chunk in litellm.completion(
        model=model,
        messages=QUESTION,
        stream=True,
        api_base=base,
        api_key="none",
        timeout=cell["timeout"],
        extra_headers=_cells.headers(cell),
    ):
        for choice in chunk.choices:
            seen.text.append(choice.delta.content or "")
            seen.finish = choice.finish_reason or seen.finish


if __name__ == "__main__":
    _cells.main({name: ask for name, ask in globals().items() if callable(ask) and not name.startswith("_")}, _MODULES)
