"""The lab's own path: the model server behind one side of a scenario, with generations of random length."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from lab.catalogue import Scenario, Staging
from lab.compare.made import Ask
from lab.errors import BadInput
from lab.evidence import Evidence
from lab.plan import Plan
from lab.probe.exchange import Patience
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.stage import engine, images
from lab.stage.images import MODEL
from lab.stage.stage import Post, Stage
from lab.wire import format_named

FIRST, INTERVAL = 0.3, 0.05
"""Seconds to the first token, and from one to the next."""
TOKENS = (20, 70)
"""Fewest and most tokens of a generation: one to three and a half seconds, on both sides of the shortened clocks."""

GENERATIONS = f"generations of {FIRST + TOKENS[0] * INTERVAL:g} to {FIRST + TOKENS[1] * INTERVAL:g} s"
_SPARE = 30.0


def side_named(scenarios: Sequence[Scenario], name: str) -> Staging:
    """The side of that id, such as `recommended::nginx-1.30::fixed`.

    Raises:
        BadInput: there is none; names those of the same scenario.
    """
    sides = {staging.id: staging for scenario in scenarios for staging in scenario.stagings}
    if name in sides:
        return sides[name]
    near = [side for side in sides if side.startswith(name.partition("::")[0] + "::")]
    remedy = (
        f"There are: {', '.join(near)}." if near else "`lab list` shows the scenarios; write SCENARIO::PROXY::SIDE."
    )
    raise BadInput(f"--over: no side {name!r}", remedy)


def plan_of(generation: int) -> Plan:
    """The plan of one generation; the same number gives the same length."""
    tokens = random.Random(f"generation {generation}").randint(*TOKENS)
    return Plan(tokens=tokens, ttft=FIRST, interval=INTERVAL, seed=generation)


def own_minutes(turns: int) -> int:
    """About how long so many turns take, in minutes; each takes as long as its longest generation."""
    return max(1, round(turns * (FIRST + sum(TOKENS) / 2 * INTERVAL) / 60))


@asynccontextmanager
async def own_path(staging: Staging, wire_format: str, say: Callable[[str], None]) -> AsyncIterator[Ask]:
    """Put the side on the stage; gives what makes one generation over it.

    Raises:
        BadInput: there is no such wire format.
        EnvironmentFault: no engine or no image.
        SetUpFault: the proxy refused its configuration.
    """
    dialect = format_named(wire_format)
    (await asyncio.to_thread(engine.ensure_engine, say)).close()
    in_use = await asyncio.to_thread(images.ensure, [MODEL, staging.proxy.image], say)
    async with (
        Stage([Post(staging.id, staging.proxy, staging.config)], in_use) as stage,
        SideChannel(stage.model_url) as channel,
    ):
        url = stage.url(staging.id)

        async def ask(generation: int, stream: bool, _: int) -> Evidence:
            plan = plan_of(generation)
            limit = plan.length + _SPARE
            return await observe(
                url,
                stage.model_url,
                dialect,
                plan,
                stream=stream,
                patience=Patience(headers=limit, first_token=limit, middle=limit),
                channel=channel,
            )

        yield ask
