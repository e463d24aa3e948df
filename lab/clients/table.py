"""The two sides of the grid: the clients, and the endings that the model server can produce."""

from __future__ import annotations

from dataclasses import dataclass

from lab.clients.environments import BROWSER, CURRENT, LANGCHAIN, LITELLM, LITELLM_OLDER, NPM, OLDER, Environment
from lab.plan import Plan, plan_from_query


@dataclass(frozen=True)
class Client:
    """One row.

    Args:
        name: as it is chosen on the command line.
        environment: where it is installed; None for the Python that runs the lab.
        driver: the file that drives it.
        function: its name in the driver.
    """

    name: str
    environment: Environment | None
    driver: str
    function: str


@dataclass(frozen=True)
class EndingCase:
    """One column.

    Args:
        name: as the table has it.
        plan: what the model server does.
        knowable: False where the reply claims to be whole, so that no client can know better.
    """

    name: str
    plan: Plan
    knowable: bool = True


THROUGH_CONSUME = "+consume"
"""How the names of clients end whose replies are read through `lab.consume`."""

CLIENTS = (
    Client("openai-3", CURRENT, "sdks.py", "openai_chat"),
    Client("openai-1", OLDER, "sdks.py", "openai_chat"),
    Client("openai-3-responses", CURRENT, "sdks.py", "openai_responses"),
    Client("openai-1-responses", OLDER, "sdks.py", "openai_responses"),
    Client("anthropic-2", CURRENT, "sdks.py", "anthropic_messages"),
    Client("anthropic-0", OLDER, "sdks.py", "anthropic_messages"),
    Client("httpx", CURRENT, "loops.py", "httpx"),
    Client("aiohttp", CURRENT, "loops.py", "aiohttp"),
    Client("requests", CURRENT, "loops.py", "requests"),
    Client("ollama", CURRENT, "sdks.py", "ollama_chat"),
    Client("langchain-openai", LANGCHAIN, "sdks.py", "langchain_openai"),
    Client("langchain-anthropic", LANGCHAIN, "sdks.py", "langchain_anthropic"),
    Client("litellm-1.110-openai", LITELLM, "sdks.py", "litellm_openai"),
    Client("litellm-1.110-anthropic", LITELLM, "sdks.py", "litellm_anthropic"),
    Client("litellm-1.106-openai", LITELLM_OLDER, "sdks.py", "litellm_openai"),
    Client("litellm-1.106-anthropic", LITELLM_OLDER, "sdks.py", "litellm_anthropic"),
    Client("openai-node", NPM, "node.mjs", "openai-node"),
    Client("vercel-ai", NPM, "node.mjs", "vercel-ai"),
    Client("vercel-ai-onerror", NPM, "node.mjs", "vercel-ai-onerror"),
    Client("vercel-ai-full", NPM, "node.mjs", "vercel-ai-full"),
    Client("node-fetch", NPM, "node.mjs", "node-fetch"),
    Client("chromium-fetch", BROWSER, "browser.py", "chromium-fetch"),
    Client("chromium-eventsource", BROWSER, "browser.py", "chromium-eventsource"),
    Client("chromium-eventsource-naive", BROWSER, "browser.py", "chromium-eventsource-naive"),
    Client("openai-3+consume", CURRENT, "sdks.py", "openai_consume"),
    Client("openai-1+consume", OLDER, "sdks.py", "openai_consume"),
    Client("openai-3-responses+consume", CURRENT, "sdks.py", "responses_consume"),
    Client("openai-1-responses+consume", OLDER, "sdks.py", "responses_consume"),
    Client("anthropic-2+consume", CURRENT, "sdks.py", "anthropic_consume"),
    Client("anthropic-0+consume", OLDER, "sdks.py", "anthropic_consume"),
    Client("httpx+consume", CURRENT, "loops.py", "httpx_consume"),
)


def _case(name: str, query: str = "", *, knowable: bool = True) -> EndingCase:
    return EndingCase(name, plan_from_query(f"tokens=10&interval=5ms&{query}".rstrip("&")), knowable)


ENDINGS = (
    _case("complete"),
    _case("length", "finish=length"),
    _case("content filter", "finish=content-filter"),
    _case("fin", "fault=fin@5"),
    _case("rst", "fault=rst@5"),
    _case("freeze", "fault=freeze@5"),
    _case("fin, close-delimited", "framing=close&fault=fin@5"),
    _case("error event", "fault=error@5"),
    _case("no marker", "fault=no-marker@5"),
    _case("cut in JSON", "fault=cut-json@5"),
    _case("cut in UTF-8", "fault=cut-utf8@5"),
    _case("fin after the marker", "fault=fin@end"),
    _case("rst after the marker", "fault=rst@end"),
    _case("fin at the start", "fault=fin@start"),
    _case("rst at the start", "fault=rst@start"),
    _case("429", "fault=status@429"),
    _case("500", "fault=status@500"),
    _case("529", "fault=status@529"),
    _case("forged end", "fault=forge@5", knowable=False),
    _case("token dropped", "fault=drop@5", knowable=False),
    _case("token repeated", "fault=repeat@5", knowable=False),
    _case("foreign token", "fault=foreign@5", knowable=False),
)
