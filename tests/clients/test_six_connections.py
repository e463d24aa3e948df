"""How many connections a real browser opens to one host: what the scenario six-connections has its client do."""

from __future__ import annotations

from collections import Counter

import pytest
from browser import open_window

from lab.catalogue import load_scenario, shipped_scenarios
from lab.evidence import Ledger
from lab.model.server import ModelServer
from lab.plan import make_plan
from lab.probe.side_channel import SideChannel

PLAN = make_plan({"tokens": 6, "interval": "500ms"})
EIGHT = [f"answer-{number}" for number in range(8)]

IN_PAGE = """([plan, names]) => Promise.all(names.map(async name => {
    const reply = await fetch("/v1/chat/completions", {
        method: "POST",
        headers: {"Content-Type": "application/json", "X-Lab-Plan": plan, "X-Lab-Request": name},
        body: JSON.stringify({model: "lab", stream: true, messages: [{role: "user", content: "Count."}]}),
    });
    return (await reply.text()).includes("[DONE]");
}).map(answer => answer.catch(() => false)))"""


@pytest.mark.browser
async def test_chromium_sends_as_many_requests_at_once_as_the_scenario_says() -> None:
    """Of eight streams over HTTP/1.1, no further one comes to the server before one of the first is over."""
    async with ModelServer() as server, SideChannel(server.base_url) as channel:
        async with open_window(f"{server.base_url}/lab/health") as window:
            whole = await window.page.evaluate(IN_PAGE, [PLAN.to_query(), EIGHT])
        ledgers = [ledger for name in EIGHT for ledger in await channel.attempts(name, PLAN)]
    assert (whole, len(ledgers)) == ([True] * len(EIGHT), len(EIGHT))
    assert most_at_once(ledgers) == connections_of_the_scenario()


def most_at_once(ledgers: list[Ledger]) -> int:
    """The most answers that were being written at the same time."""
    changes: Counter[float] = Counter()
    for each in ledgers:
        assert each.finished is not None
        changes[each.started] += 1
        changes[each.finished] -= 1
    running = most = 0
    for at in sorted(changes):
        running += changes[at]
        most = max(most, running)
    return most


def connections_of_the_scenario() -> int:
    """What the scenario says of its client."""
    case = load_scenario(shipped_scenarios() / "six-connections").cases[0]
    (connections,) = {each.connections for each in case.exchanges}
    assert connections is not None
    return connections
