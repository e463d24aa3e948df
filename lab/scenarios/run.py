"""A whole run: testbed, every case, and the results.

The wall time of a run is meant to be close to that of its longest case, since nearly all of it is
waiting; so everything is played together, in one event loop (`lab.scenarios.rounds`). It is played once everything is
up: a proxy that starts computes, and cases that are measured beside it have to be measured again.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version

from lab.catalogue import Case, Scenario
from lab.errors import EnvironmentFault
from lab.files import read_words
from lab.products import Product
from lab.results import (
    FORMAT_VERSION,
    CaseResult,
    ImageResult,
    ProductResult,
    ProxyResult,
    Results,
    ScenarioResult,
    SnippetResult,
)
from lab.scenarios.consumers import check_consumers
from lab.scenarios.rounds import Rounds, RunListener
from lab.shipped import shipped
from lab.testbed.supply import Supply, Used, choose, started
from lab.testbed.testbed import Target
from lab.vocabulary import Outcome, Precedence

LOG_LINES = 20
"""Lines of a proxy's log that a result keeps: the last ones."""


class LeftStanding(EnvironmentFault):
    """The engine failed when all was played: the results are whole, and containers may still stand.

    Args:
        fault: what the engine said.
        results: of the run, as they would have been returned.
    """

    def __init__(self, fault: EnvironmentFault, results: Results) -> None:
        remedy = f"{fault.remedy} The next run, or `lab clean`, removes what still stands.".strip()
        super().__init__(fault.problem, remedy)
        self.results = results


@dataclass
class _Diary:
    """What has come of the cases so far; lives as long as the run."""

    began: datetime = field(default_factory=lambda: datetime.now().astimezone())
    started: float = field(default_factory=time.monotonic)
    wall: float | None = None
    """Seconds from the beginning to the last verdict; None before that one."""
    results: dict[str, CaseResult] = field(default_factory=dict)
    used: tuple[Used, ...] = ()
    probe: Precedence = Precedence.NONE
    model_server: Precedence = Precedence.NONE

    def longest(self) -> tuple[str, float]:
        if not self.results:
            return "", 0.0
        name = max(self.results, key=lambda each: self.results[each].seconds)
        return name, self.results[name].seconds


async def run_lab(
    scenarios: Sequence[Scenario], listener: RunListener, supply: Supply | None = None, *, real_defaults: bool = False
) -> Results:
    """Run every case of the scenarios given, on a testbed of their own.

    Args:
        scenarios: as `lab.catalogue.select` chose them.
        listener: hears of progress.
        supply: what they are run with; chosen here if it is not given.
        real_defaults: noted in the results; the choice itself is already made.

    Raises:
        BadInput: a consumer cannot be found.
        EnvironmentFault: no engine, or an image cannot be had.
        LeftStanding: the engine failed at the end; carries the results.
    """
    check_consumers(scenarios)
    cases = [case for scenario in scenarios for case in scenario.cases]
    if supply is None:
        supply = await asyncio.to_thread(choose, listener.say)
    diary = _Diary()
    fault = await _play(cases, supply, listener, diary)
    results = _results(scenarios, diary, supply, real_defaults=real_defaults)
    if fault is not None:
        raise LeftStanding(fault, results) from fault
    return results


async def _play(cases: Sequence[Case], supply: Supply, listener: RunListener, diary: _Diary) -> EnvironmentFault | None:
    """Play the cases and write it down; gives what failed when all was played, if anything did."""
    targets = [Target(case.id, case.proxy, case.config) for case in cases]
    fault: EnvironmentFault | None = None
    try:
        async with started(targets, supply, listener.say) as (testbed, diary.used):
            listener.begins(cases)
            rounds = Rounds(testbed, listener)
            await rounds.play(cases)
            diary.wall = time.monotonic() - diary.started
            diary.results, diary.probe, diary.model_server = rounds.results, rounds.precedence, testbed.precedence
    except EnvironmentFault as error:
        if diary.wall is None:
            raise
        fault = error
    # A log is whole when its process is gone: a proxy writes of an exchange after its client has seen the end.
    for case in cases:
        result = replace(diary.results[case.id], log=tuple(testbed.log(case.id, LOG_LINES)))
        diary.results[case.id] = result
        listener.ends(case, result)
    return fault


def _results(
    scenarios: Sequence[Scenario],
    diary: _Diary,
    supply: Supply,
    *,
    real_defaults: bool,
) -> Results:
    longest, seconds = diary.longest()
    return Results(
        format_version=FORMAT_VERSION,
        lab_version=version("token-stream-lab"),
        started=diary.began.isoformat(timespec="seconds"),
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
        engine=supply.description,
        wall_seconds=diary.wall or 0.0,
        longest=longest,
        longest_seconds=seconds,
        real_defaults=real_defaults,
        products=_products(scenarios),
        images=tuple(ImageResult(u.key, u.reference, u.image_id, u.version, u.how) for u in diary.used),
        scenarios=tuple(_scenario(scenario, diary.results) for scenario in scenarios),
        probe=diary.probe,
        model_server=diary.model_server,
    )


def _products(scenarios: Sequence[Scenario]) -> tuple[ProductResult, ...]:
    """Those that take part, in the order in which they first do."""
    products = {case.proxy.product.name: case.proxy.product for scenario in scenarios for case in scenario.cases}
    return tuple(
        ProductResult(each.name, each.title, read_words(each.default), _snippets(each)) for each in products.values()
    )


def _snippets(product: Product) -> tuple[SnippetResult, ...]:
    if product.snippets is None:
        return ()
    files = sorted(shipped(product.snippets.folder).glob(f"*{product.suffix}"))
    return tuple(SnippetResult(f"{product.snippets.inside}/{file.name}", read_words(file)) for file in files)


def _scenario(scenario: Scenario, results: Mapping[str, CaseResult]) -> ScenarioResult:
    proxies = dict.fromkeys(case.proxy for case in scenario.cases)
    return ScenarioResult(
        id=scenario.id,
        title=scenario.title,
        group=scenario.group,
        requirement=scenario.requirement,
        readme=scenario.readme,
        sources=scenario.sources,
        proxies=tuple(
            ProxyResult(
                proxy.id,
                proxy.product.name,
                tuple(results[case.id] for case in scenario.cases if case.proxy == proxy),
            )
            for proxy in proxies
        ),
    )


def raise_if_engine_died(results: Results) -> None:
    """An engine that died in the middle is the environment's fault, once the results are saved.

    Raises:
        EnvironmentFault: some case lost its model server or its container.
    """
    lost = [case for _, _, case in results.cases() if case.outcome is Outcome.HARNESS_FAILED]
    if lost:
        first = lost[0].problem.strip()
        ours = first.startswith("Traceback")
        raise EnvironmentFault(
            f"{len(lost)} of {len(results.cases())} cases ended without a verdict: {first.splitlines()[-1]}",
            "That is a fault of the lab's own; the report has the traceback."
            if ours
            else "Run the lab again once `lab doctor` finds nothing missing.",
        )


def raise_if_nothing_ran(results: Results) -> None:
    """A machine that has none of the products is no machine to run them on, once the results say what is missing.

    Raises:
        EnvironmentFault: every case was skipped.
    """
    if all(case.outcome is Outcome.SKIPPED for _, _, case in results.cases()):
        raise EnvironmentFault(
            "Nothing could be run: this machine has none of the binaries.",
            "Start a container engine, or have one of the binaries; the reasons above say how. `lab doctor` lists "
            "what there is.",
        )
