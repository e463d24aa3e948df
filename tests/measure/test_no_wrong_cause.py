"""No wrong cause in many randomised runs: kind, value and faults of a path are drawn, and only the test knows them.

`LAB_REPEAT` multiplies the number of runs: 10 makes the 200 that are promised.

What counts as a mistake. A timeout that is named must be there, within 0.5 s or 2 %; a death must be what it is said to
be; the smallest timeout is the path's own. "Cannot tell" is no cause and so no wrong one, and yet a failure wherever
the audit promises to tell: on a path without faults, outage or hold, every timeout below `LONGEST` must be found, and
the absence of one said.

One exception was drawn from first principles, not from a batch. `LONGEST` is what was asked. A stream of the search
waits a little beyond it, so that a timeout of just that length is seen whole. What ends a stream between `LONGEST` and
its own planned end leaves so little of it that a death and an end look alike (a hop that leaves the model's side open
lets the model come to its end a moment later). There "cannot tell" is the honest answer, costs the user nothing of
what was asked, and is allowed; below `LONGEST` and beyond the search's reach it is not. The shares of "cannot tell"
are bounded, so that the test fails if the audit is right by never telling. The other exception is a machine on which
the probe slept when the streams ended, and slept again when they were asked once more: the finding says so, and they
must be very few.

A third: a timeout must be `HIDDEN_BELOW` shorter than the one on the whole to be told from it, and a relay that was
late by `TRUE` makes the two seem so much nearer; between these bounds "cannot tell" is allowed as well.

The relay runs as a process of its own and notes how late it was. Where that was by more than `TRUE`, nobody knows what
its timeouts were: that run does not count, whatever the audit said, and another is made. They must be few.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.endpoint.address import endpoint_of
from lab.measure.findings import ActiveFindings, Found, Holds, TerminationKind, TimeoutFound
from lab.measure.tally import HIDDEN_BELOW
from lab.measure.target import AuditTarget
from lab.suite.exchange import Leaving
from lab.suite.search import wait_of
from lab.vocabulary import Requirement, State, Watched

from .auditing import audit_actively
from .relay import NEVER, TIMEOUTS, Nature, Why, draw_nature

RUNS = 20 * int(os.environ.get("LAB_REPEAT", "1"))
AT_ONCE = 3
"""Audits in one process, where each is late for the judging of the others; no user has that many."""
LONGEST = 4.0
CLOSE = 1.0
"""Seconds within which a fault and a timeout cannot be told apart by anybody."""
SAME = 0.6
"""Seconds: two timeouts within the promised half second are one, and a busy machine adds a tenth."""
TRUE = 0.25
"""Seconds by which the relay may be late."""
MOST_DRAWN = 2 * RUNS
"""Runs to be made for as many as count."""
ONCE_IN_A_WHILE = 0.001
"""A share of a few draws is no share: it is wrong where chance would show it this seldom."""
ROOT = Path(__file__).parents[2]


def plain(nature: Nature) -> bool:
    """Whether nothing but timeouts ends an exchange, and every hop sees what the model writes."""
    return not nature.fault_share and nature.outage is NEVER and not nature.holds


def truth(nature: Nature) -> dict[Watched, float]:
    """What ends each family, by what it watches."""
    if nature.holds and nature.timeouts_in_front:
        return dict.fromkeys(Watched, NEVER) | {
            Watched.FIRST_BYTE: nature.first,
            Watched.BATCH_REPLY: nature.first,
            Watched.TOTAL: nature.total,
        }
    return {
        Watched.FIRST_BYTE: nature.first,
        Watched.FIRST_TOKEN: min(nature.idle, nature.first if nature.wants_body else NEVER),
        Watched.IDLE: nature.idle,
        Watched.TOTAL: nature.total,
        Watched.BATCH_REPLY: nature.first,
    }


def ceiling_of(nature: Nature) -> float:
    """What ends a lively stream."""
    return min(nature.total, nature.first) if nature.holds and nature.timeouts_in_front else nature.total


def within(value: float, true: float) -> bool:
    """Whether a value is as near as is promised."""
    return abs(value - true) <= max(0.5, 0.02 * true)


def near_the_whole(value: float, nature: Nature) -> bool:
    """Whether a timeout may not be told from the one on the whole, where the machine was as late as still counts."""
    return nature.total - value < HIDDEN_BELOW + TRUE


def excused(found: TimeoutFound, nature: Nature) -> bool:
    """Whether "cannot tell" is allowed on a plain path; the module says why."""
    value = truth(nature)[found.watched]
    end = min(value, nature.total)
    allowed = LONGEST <= end <= wait_of(LONGEST) or near_the_whole(value, nature)
    return found.too_late or (found.found is Found.UNKNOWN and allowed)


def includes(found: TimeoutFound, nature: Nature) -> bool:
    """Whether a finding is an interval with the timeout in it, which deaths by something else have made too wide.

    With faults or an outage beside it an exact timeout may be told as one that somebody looks at now and then.
    """
    value = truth(nature)[found.watched]
    if not found.coarse or found.value is None or plain(nature) or value is NEVER:
        return False
    return abs(found.value - value) <= found.uncertainty + TRUE


def wrong_timeout(found: TimeoutFound, nature: Nature, *, late: bool) -> str:
    """What is wrong with one finding, in words; empty if nothing is. Late: the probe, for some timeout."""
    value = truth(nature)[found.watched]
    if includes(found, nature):
        return ""
    match found.found:
        case Found.TIMEOUT if found.value is None or value is NEVER or not within(found.value, value):
            return f"named {found.value}, is {value}: {found.sentence}"
        case Found.NONE if value < LONGEST:
            return f"missed {value}: {found.sentence}"
        case Found.HIDDEN if value < ceiling_of(nature) - SAME:
            return f"hid {value} behind {ceiling_of(nature)}: {found.sentence}"
        case Found.UNKNOWN if plain(nature) and not late and not excused(found, nature):
            return f"did not tell {value}: {found.sentence}"
    return ""


def wrong_smallest(findings: ActiveFindings, nature: Nature) -> list[str]:
    """A smallest timeout that is none of the path's; on a plain path, one that is not its smallest."""
    values = [value for value in (*truth(nature).values(), ceiling_of(nature)) if value is not NEVER]
    least, named = min(values, default=NEVER), findings.smallest
    if named is None:
        told = plain(nature) and least < LONGEST and not any(each.too_late for each in findings.timeouts)
        return [f"no smallest timeout, is {least}"] if told else []
    if any(each.least == named and includes(each, nature) for each in findings.timeouts):
        return []
    right = [value for value in values if abs(named - value) <= max(SAME, 0.02 * value)]
    if any(each.too_late for each in findings.timeouts) and right:
        return []
    missed = plain(nature) and least < LONGEST and least not in right and not near_the_whole(least, nature)
    if not right or missed:
        return [f"the smallest timeout {named} is not that of {sorted(set(values))}"]
    return []


def wrong_deaths(findings: ActiveFindings, nature: Nature, ended: Mapping[tuple[str, bool], Why]) -> list[str]:
    """Deaths that were taken for what they were not."""
    plans = {each.name: (each.plan, each.stream) for each in findings.exchanges}
    # The relay began before the audit did, so the outage's time is told by those whom it ended.
    outage = [
        termination.wall for termination in findings.terminations if ended.get(plans[termination.stream]) is Why.OUTAGE
    ]
    mistakes = []
    for termination in findings.terminations:
        why = ended.get(plans[termination.stream])
        near = (
            min(abs(termination.at - nature.total), abs(termination.waited - truth(nature)[termination.watched]))
            <= CLOSE
        )
        near = near or abs(termination.at - nature.first) <= CLOSE
        match termination.kind:
            case TerminationKind.TIMEOUT:
                right = why in TIMEOUTS or near
            case TerminationKind.FAULT:
                right = why in (Why.FAULT, Why.OUTAGE)
            case TerminationKind.OUTAGE:
                right = any(abs(termination.wall - wall) <= CLOSE for wall in outage)
            case TerminationKind.UNKNOWN:
                right = True
        if not right:
            mistakes.append(f"{termination} was ended by {why}")
    return mistakes


def wrong_effects(findings: ActiveFindings, nature: Nature) -> list[str]:
    """A wrong answer on heartbeats; the relay never asks twice, and passes the client's leaving on.

    A lazy one does not where it ended the exchange itself in the moment in which the client left.
    """
    never = {
        "heartbeats-reset-the-idle-timeout": Holds.NO if nature.beats_count else Holds.YES,
        "generates-once": Holds.NO,
    }
    if not nature.lazy:
        never |= dict.fromkeys((f"leaving-stops-the-model-{leaving}" for leaving in Leaving), Holds.NO)
    return [f"{each}" for each in findings.effects if each.answer is never.get(each.name)]


def wrong_requirements(findings: ActiveFindings, nature: Nature) -> list[str]:
    """On a plain path: one about a timeout that is answered against its value, or another one that is not met.

    A path whose timeout ends streams as if they were over hides its cuts, and no other plain path does.
    """
    if not plain(nature):
        return []
    # What ends a lively stream ends the waits too.
    true = {watched: min(value, ceiling_of(nature)) for watched, value in truth(nature).items()}
    values = {
        Requirement.WAITS_FOR_THE_FIRST_TOKEN: min(true[Watched.FIRST_BYTE], true[Watched.FIRST_TOKEN]),
        Requirement.SURVIVES_SILENCE: true[Watched.IDLE],
        Requirement.LETS_LONG_ANSWERS_FINISH: true[Watched.TOTAL],
        Requirement.WAITS_FOR_BATCH_REPLIES: true[Watched.BATCH_REPLY],
    }
    cuts_clean = nature.cut == "clean" and min(nature.idle, nature.total) < LONGEST - SAME
    mistakes = []
    for each in findings.observations:
        if each.requirement is Requirement.SHOWS_A_CUT_AS_A_CUT and nature.cut == "clean":
            mistakes += [f"{each}, though the path hides its cuts"] if cuts_clean and each.state is State.MET else []
            continue
        value = values.get(each.requirement, NEVER)
        wrong = each.state is State.NOT_MET and value > LONGEST + SAME
        wrong |= each.state is State.MET and value < LONGEST - SAME
        mistakes += [f"{each}, is {value}"] if wrong else []
    return mistakes


def tally(findings: ActiveFindings, nature: Nature) -> Counter[str]:
    """What was told: by kind of path, findings, those not told, timeouts that could be seen, and those named."""
    kind = "plain" if plain(nature) else "impaired"
    counts: Counter[str] = Counter()
    for found in findings.timeouts:
        value = truth(nature)[found.watched]
        counts[f"{kind} findings"] += 1
        counts[f"{kind} not told"] += found.found is Found.UNKNOWN
        counts["too late"] += found.too_late
        if value < min(LONGEST, ceiling_of(nature) - SAME):
            counts[f"{kind} timeouts"] += 1
            counts[f"{kind} named"] += found.found is Found.TIMEOUT
    return counts


@dataclass
class Told:
    """What a relay says at its end: what it ended and why, and by how much it was late itself."""

    late: float = 0.0
    ended: dict[tuple[str, bool], Why] = field(default_factory=dict)


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A process of Python, and the first line that it writes."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    try:
        yield (await running.stdout.readline()).decode().strip(), running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


@asynccontextmanager
async def relay_of(seed: int, model_url: str) -> AsyncIterator[tuple[str, Told]]:
    """A relay's address; what it tells is there after the end."""
    told = Told()
    async with process("tests.measure.relay", str(seed), model_url.rpartition(":")[2]) as (port, running):
        yield f"http://127.0.0.1:{port}", told
        out, _ = await running.communicate(b"")
        record = json.loads(out)
    told.late = record["late"]
    told.ended |= {(plan, stream): Why(why) for plan, stream, why in record["ended"]}


def chance(named: int, of: int, share: float) -> float:
    """How often no more than so many are named, if in the long run that share is."""
    return sum(math.comb(of, each) * share**each * (1 - share) ** (of - each) for each in range(named + 1))


async def run_one(seed: int, model_url: str) -> tuple[list[str], Counter[str]]:
    """One path, drawn from the seed: what was wrong, and what was told; nothing where the truth is not known."""
    nature = draw_nature(random.Random(seed))
    async with relay_of(seed, model_url) as (url, told):
        endpoint = endpoint_of("path", f"{url}/v1/chat/completions", None)
        findings = await audit_actively(AuditTarget(endpoint, model_url=model_url), longest=LONGEST)
    if told.late > TRUE:
        return [], Counter()
    late = any(each.too_late for each in findings.timeouts)
    mistakes = [words for found in findings.timeouts if (words := wrong_timeout(found, nature, late=late))]
    mistakes += wrong_smallest(findings, nature) + wrong_deaths(findings, nature, told.ended)
    mistakes += wrong_effects(findings, nature) + wrong_requirements(findings, nature)
    return [f"seed {seed} {nature}: {mistake}" for mistake in mistakes], tally(findings, nature)


@pytest.mark.soak
@pytest.mark.usefixtures("busy_cores")
async def test_no_wrong_cause_in_randomised_runs(draw: random.Random) -> None:
    """Whatever the path does: every timeout that is named is there, and every death is what it is said to be."""
    first = draw.getrandbits(32)
    mistakes: list[str] = []
    counts: Counter[str] = Counter()

    async def work(model_url: str) -> None:
        while counts["runs"] < RUNS and counts["drawn"] < MOST_DRAWN:
            counts["drawn"] += 1
            counts["runs"] += 1
            wrong, told = await run_one(first + counts["drawn"], model_url)
            counts["runs"] -= not told
            counts.update(told)
            mistakes.extend(wrong)

    async with process("lab.model", "--port", "0") as (line, _), asyncio.TaskGroup() as group:
        for _worker in range(AT_ONCE):
            group.create_task(work(line.rpartition(" ")[2]))
    sys.stdout.write(f"from seed {first}: {dict(counts)}\n")
    assert not mistakes, f"{len(mistakes)} in {counts['runs']} runs:\n" + "\n".join(mistakes)
    assert counts["runs"] >= RUNS, f"the relay was late in {counts['drawn'] - counts['runs']}: the machine is too busy"
    # It is no use to be right by never telling.
    assert counts["plain not told"] <= counts["plain findings"] / 4
    assert counts["too late"] <= (counts["plain findings"] + counts["impaired findings"]) / 10
    assert counts["impaired not told"] <= counts["impaired findings"] * 2 / 3
    assert chance(counts["impaired named"], counts["impaired timeouts"], share=1 / 3) > ONCE_IN_A_WHILE
