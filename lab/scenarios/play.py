"""Plays one case and, apart from that, has it judged and writes the result.

Two halves: `perform` makes the exchanges and lives in the event loop; `judged` is plain computing and is called when no
exchange runs, since every millisecond of it would be one in which the probe does not read.

Whatever goes wrong here is this case's alone: a proxy that refused its configuration is *set-up
failed*, a fault of the lab's own is *harness failed*, and the other cases never notice.
"""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from lab.catalogue import Case
from lab.errors import LabError, SetUpFault, Unavailable
from lab.evidence import Evidence
from lab.files import read_words
from lab.judge import Exchanged
from lab.measure.browser import Browsers
from lab.measure.exchanges import Address, make
from lab.measure.many import Starts, together
from lab.probe.side_channel import SideChannel
from lab.results import CaseResult
from lab.scenarios.records import exchange_result
from lab.scenarios.strays import StrayTraffic, check_own, mark_of, own_refusals
from lab.scenarios.timetable import Timetable
from lab.scenarios.verdicts import conclude
from lab.suite.exchange import Exchange
from lab.testbed.testbed import Testbed
from lab.vocabulary import Outcome


@dataclass(frozen=True)
class Performance:
    """What came of one case's exchanges: the evidence, or why there is none.

    Args:
        case: which.
        seconds: from its first exchange to the end of the last.
        evidence: of its exchanges, in order; empty where there is none.
        fault: the outcome where there is no evidence; None where there is.
        problem: what went wrong then, in words.
        waited: whether it was that the model server let a question wait for too long.
    """

    case: Case
    seconds: float
    evidence: tuple[Evidence, ...] = ()
    fault: Outcome | None = None
    problem: str = ""
    waited: bool = False


async def perform(case: Case, testbed: Testbed, channel: SideChannel, starts: Starts) -> Performance:
    """Make the exchanges of one case on a testbed that holds its proxy; never raises for a fault of one case."""
    called = time.monotonic()
    try:
        evidence = await _exchanges(case, testbed, channel, starts)
        began = min((each.trace.started for each in evidence), default=called)
        return Performance(case, time.monotonic() - began, evidence)
    except StrayTraffic as error:
        fault, problem = Outcome.HARNESS_FAILED, str(error)
    except SetUpFault as error:
        fault, problem = Outcome.SET_UP_FAILED, str(error)
    except Unavailable as error:
        return Performance(case, 0.0, fault=Outcome.SKIPPED, problem=f"{error.problem} {error.remedy}")
    except TimeoutError:
        words = "the model server is there, and did not answer for a long time"
        return Performance(case, time.monotonic() - called, fault=Outcome.HARNESS_FAILED, problem=words, waited=True)
    except (aiohttp.ClientError, OSError, LabError) as error:
        fault, problem = Outcome.HARNESS_FAILED, f"the model server or the engine is out of reach: {error!r}"
    except Exception:  # a fault of ours in one case must not lose the results of the others
        fault, problem = Outcome.HARNESS_FAILED, traceback.format_exc()
    return Performance(case, time.monotonic() - called, fault=fault, problem=problem)


def judged(performance: Performance) -> CaseResult:
    """The result of one performance, still without the proxy's log; never raises for a fault of one case."""
    if performance.fault is not None:
        return _without_verdict(performance, performance.fault, performance.problem)
    try:
        return _with_verdict(performance)
    except Exception:  # same; nothing here connects, so whatever it is, it is no fault of the environment's
        return _without_verdict(performance, Outcome.HARNESS_FAILED, traceback.format_exc())


async def _exchanges(case: Case, testbed: Testbed, channel: SideChannel, starts: Starts) -> tuple[Evidence, ...]:
    address = Address(testbed.url(case.id), testbed.model_url, tls=testbed.tls(case.id))
    timetable, browsers = Timetable(case, starts), Browsers(address)

    async def one(each: Exchange) -> Evidence:
        async with timetable.turn(each), browsers.connection(each) as queued:
            made = await make(each, address, channel, f"{mark_of(case.id)}-{uuid.uuid4().hex}")
            timetable.sent(each, made.trace.asked_at - queued)
            return replace(made, queued=queued)

    meanwhile = (timetable.reload(testbed), timetable.restart(testbed, channel))
    works: list[Coroutine[Any, Any, Evidence | None]] = [*meanwhile, *map(one, case.exchanges)]
    made = [replace(each, late=timetable.late) for each in await together(works) if each is not None]
    evidence = tuple(own_refusals(case.id, seen, testbed.told_only) for seen in made)
    for each, seen in zip(case.exchanges, evidence, strict=True):
        check_own(each.name, case.id, seen, testbed.told_only)
    return evidence


def _config_name(case: Case) -> str:
    return f"{case.scenario}/{case.config.parent.name}/{case.config.name}"


def _with_verdict(performance: Performance) -> CaseResult:
    case = performance.case
    played = Exchanged.together(case.exchanges, performance.evidence)
    conclusion = conclude(case, played)
    return CaseResult(
        label=case.label,
        variant=case.variant,
        title=case.title,
        outcome=conclusion.outcome,
        findings=conclusion.findings,
        exchanges=tuple(exchange_result(each) for each in played),
        seconds=performance.seconds,
        config_name=_config_name(case),
        config=_config(case),
        log=(),
        busy=conclusion.busy,
    )


def _without_verdict(performance: Performance, outcome: Outcome, problem: str) -> CaseResult:
    case = performance.case
    return CaseResult(
        label=case.label,
        variant=case.variant,
        title=case.title,
        outcome=outcome,
        findings=(),
        exchanges=(),
        seconds=performance.seconds,
        config_name=_config_name(case),
        config=_config(case),
        log=(),
        problem=problem,
    )


def _config(case: Case) -> str:
    """The configuration's text; its author may be at work on it while it is being played."""
    try:
        return read_words(case.config)
    except (OSError, UnicodeDecodeError) as error:
        return f"(the file cannot be read any more: {error})\n"
