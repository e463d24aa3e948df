"""The lab's own path: the model server behind one case of a scenario, with generations of random length."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from lab.catalogue import Case, Scenario
from lab.compare.turns import Ask
from lab.errors import BadInput
from lab.evidence import Evidence
from lab.plan import Plan
from lab.probe.exchange import Patience
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.testbed.supply import RunnerWish, choose, started
from lab.testbed.testbed import Target
from lab.wire import format_named

FIRST, INTERVAL = 0.3, 0.05
"""Seconds to the first token, and from one to the next."""
TOKENS = (20, 70)
"""Fewest and most tokens of a generation: one to three and a half seconds, on both sides of the shortened timeouts."""

GENERATIONS = f"generations of {FIRST + TOKENS[0] * INTERVAL:g} to {FIRST + TOKENS[1] * INTERVAL:g} s"
_SPARE = 30.0


def case_named(scenarios: Sequence[Scenario], name: str) -> Case:
    """The case of that id, such as `recommended::nginx-1.30::fixed`.

    Raises:
        BadInput: there is none; names those of the same scenario.
    """
    cases = {case.id: case for scenario in scenarios for case in scenario.cases}
    if name in cases:
        return cases[name]
    near = [case for case in cases if case.startswith(name.partition("::")[0] + "::")]
    remedy = (
        f"There are: {', '.join(near)}." if near else "`lab list` shows the scenarios; write SCENARIO::PROXY::CASE."
    )
    raise BadInput(f"There is no case {name!r}.", remedy)


def plan_of(generation: int) -> Plan:
    """The plan of one generation; the same number gives the same length."""
    tokens = random.Random(f"generation {generation}").randint(*TOKENS)
    return Plan(tokens=tokens, ttft=FIRST, interval=INTERVAL, seed=generation)


def own_minutes(turns: int) -> int:
    """About how long so many turns take, in minutes; each takes as long as its longest generation."""
    return max(1, round(turns * (FIRST + sum(TOKENS) / 2 * INTERVAL) / 60))


@asynccontextmanager
async def own_path(case: Case, wire_format: str, say: Callable[[str], None], wish: RunnerWish) -> AsyncIterator[Ask]:
    """Put the case on the testbed; gives what makes one generation over it.

    Raises:
        BadInput: there is no such wire format.
        EnvironmentFault: no engine or no image.
        SetUpFault: the proxy refused its configuration.
    """
    dialect = format_named(wire_format)
    supply = await asyncio.to_thread(choose, say, wish)
    async with (
        started([Target(case.id, case.proxy, case.config)], supply, say) as (testbed, _),
        SideChannel(testbed.model_url) as channel,
    ):
        url = testbed.url(case.id)

        async def ask(generation: int, stream: bool, _: int) -> Evidence:
            plan = plan_of(generation)
            limit = plan.length + _SPARE
            return await observe(
                url,
                testbed.model_url,
                dialect,
                plan,
                stream=stream,
                patience=Patience(headers=limit, first_token=limit, middle=limit),
                channel=channel,
                tls=testbed.tls(case.id),
            )

        yield ask
