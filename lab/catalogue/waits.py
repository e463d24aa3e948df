"""Longer waits for the same exchanges: what a run shows about timeouts holds up to the longest wait that it made.

The scenarios wait for some seconds, which is enough to tell a timeout of 2 s from none. A product's own 60 s, or a
user's, is only met by a wait that is longer. All exchanges wait at once, so a run takes little longer than the longest
of them. What is drawn at random, and what a broken variant is to show, stays as its scenario has it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lab.catalogue.scenario import Case, Scenario
from lab.errors import BadInput
from lab.plan import Gap, Plan, PlanError, make_plan
from lab.suite.exchange import Exchange
from lab.suite.settle import Waits, lasting
from lab.vocabulary import Requirement, Variant


def with_waits(scenarios: Iterable[Scenario], waits: Waits) -> tuple[Scenario, ...]:
    """The scenarios, with those waits wherever a variant is not to break.

    Raises:
        BadInput: no plan can wait so long.
    """
    return tuple(replace(each, cases=tuple(_case(case, waits) for case in each.cases)) for each in scenarios)


def _case(case: Case, waits: Waits) -> Case:
    if case.variant in (Variant.BROKEN, Variant.REAL_DEFAULTS):
        return case
    return replace(case, exchanges=tuple(_exchange(each, waits) for each in case.exchanges))


def _exchange(exchange: Exchange, waits: Waits) -> Exchange:
    plan = exchange.plan
    if exchange.name != exchange.family or not exchange.requirements or plan.fault is not None or plan.lockstep:
        return exchange
    try:
        match exchange.requirements[0]:
            case Requirement.WAITS_FOR_THE_FIRST_TOKEN if plan.ttft and waits.first_token:
                plan = _with(plan, ttft=max(plan.ttft, waits.first_token))
            case Requirement.SURVIVES_SILENCE if plan.gaps and waits.gap:
                *others, last = plan.gaps
                plan = _with(plan, gaps=(*others, Gap(last.before, max(last.length, waits.gap))))
            case Requirement.LETS_LONG_ANSWERS_FINISH | Requirement.WAITS_FOR_BATCH_REPLIES if waits.longest:
                plan = lasting(plan, waits.longest)
    except PlanError as error:
        raise BadInput(f"No answer can wait so long: {error.field}: {error.why}", "Ask for a shorter wait.") from None
    return replace(exchange, plan=plan)


def _with(plan: Plan, **fields: object) -> Plan:
    return make_plan({**{name: getattr(plan, name) for name in plan.model_fields_set}, **fields})
