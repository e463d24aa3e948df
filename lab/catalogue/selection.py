"""Which scenarios a user means: names on the command line, turned into scenarios and cases.

A name is a scenario's id, a case's id or the beginning of one (`silent-gap`, `silent-gap::nginx-1.26`,
`silent-gap::nginx::broken`), or a folder of scenarios of the user's own.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from lab.catalogue.scenario import Case, Scenario
from lab.errors import BadInput
from lab.products import Proxy, resolve
from lab.vocabulary import Variant


def select(
    scenarios: Sequence[Scenario],
    names: Sequence[str],
    proxies: Sequence[str] = (),
    *,
    real_defaults: bool = False,
) -> tuple[Scenario, ...]:
    """The scenarios that have something to run, each with just the cases that are meant.

    Args:
        scenarios: what there is.
        names: what the user wrote; none means all.
        proxies: products or releases; none means all.
        real_defaults: whether the variants with the products' own timeouts take part.

    Raises:
        BadInput: a name fits nothing, or nothing is left.
    """
    wanted = set(proxies)
    there = {name for scenario in scenarios for case in scenario.cases for name in _names(case.proxy)}
    for name in wanted - there:
        # A product that no scenario has is as good a name as any.
        resolve(name)
    for name in names:
        if not any(_fits(name, case) for scenario in scenarios for case in scenario.cases):
            known = ", ".join(scenario.id for scenario in scenarios)
            raise BadInput(
                f"no scenario fits {name!r}", f"Known: {known}; or give a folder of scenarios before the names."
            )
    chosen = [
        replace(scenario, cases=cases)
        for scenario in scenarios
        if (cases := tuple(s for s in scenario.cases if _meant(s, names, wanted, real_defaults)))
    ]
    if not chosen:
        raise BadInput("nothing is left to run", "The scenarios named have no variant for that proxy; see `lab list`.")
    return tuple(chosen)


def folder_and_names(names: Sequence[str], ids: Container[str] = ()) -> tuple[Path | None, Sequence[str]]:
    """The folder that the first name stands for, if it is one and no scenario's id, and the names that follow it.

    `./name` is always a folder. Without one, all names are of the lab's own scenarios.
    """
    if names and names[0] not in ids and "::" not in names[0] and Path(names[0]).is_dir():
        return Path(names[0]), names[1:]
    return None, names


def _names(proxy: Proxy) -> set[str]:
    return {proxy.product.name, proxy.id}


def _meant(case: Case, names: Sequence[str], wanted: set[str], real_defaults: bool) -> bool:
    if case.variant is Variant.REAL_DEFAULTS and not real_defaults:
        return False
    return bool(not wanted or wanted & _names(case.proxy)) and (not names or any(_fits(name, case) for name in names))


def _fits(name: str, case: Case) -> bool:
    scenario, *rest = name.split("::")
    if scenario != case.scenario or len(rest) > 2:
        return False
    proxy_fits = not rest or rest[0] in _names(case.proxy)
    return proxy_fits and (len(rest) < 2 or rest[1] == case.label)
