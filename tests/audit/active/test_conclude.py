"""From clocks to requirements: what a value means beside the longest answer."""

from __future__ import annotations

import time

import pytest

from lab.audit.active.conclude import Audited, conclude
from lab.audit.active.findings import Answer, Watched
from lab.audit.active.lives import Made
from lab.audit.active.streams import Asking, Role, search
from lab.evidence import Evidence, Ledger, Read, Trace, TransportEnd, Written
from lab.model.schedule import make_schedule
from lab.plan import Headers
from lab.wire import format_named
from lab.wire.format import Asked
from lab.words import Requirement

LONGEST = 5.0
CHAT = format_named("openai-chat")
NOW = time.monotonic()


def played(clock: float) -> list[Made]:
    """The whole search over a path that ends every wait for the first byte at that many seconds."""
    return [_played(each, clock) for each in search(LONGEST) if each.role is Role.SEARCH]


def _played(asking: Asking, clock: float) -> Made:
    start, plan = NOW + asking.delay, asking.plan
    first = plan.due(1)
    if asking.watched in (Watched.FIRST_BYTE, Watched.BATCH_REPLY) and first > clock:
        end = start + clock
        body = b"late"
        trace = Trace(
            start,
            end,
            TransportEnd.FRAMED,
            status=504,
            headers_at=end,
            reads=(Read(end, body),),
            body=(Read(end, body),),
        )
        ledger = Ledger("x", start, client_left=end)
    else:
        schedule = make_schedule(plan, CHAT, Asked("lab", asking.stream))
        steps, headers = schedule.steps, (("content-type", schedule.content_type),)
        reads = tuple(Read(start + step.offset, step.payload) for step in steps)
        trace = Trace(
            start, reads[-1].at, TransportEnd.FRAMED, "", 200, "1.1", headers, reads[0].at, "chunked", reads, reads
        )
        ledger = Ledger(
            "x",
            start,
            headers_at=start + (0.0 if plan.headers is Headers.EARLY else steps[0].offset),
            tokens=tuple(Written(number, start + step.offset) for step in steps for number in step.tokens),
            finished=reads[-1].at,
        )
    return Made(asking, Evidence("openai-chat", asking.stream, trace, plan, ledger))


@pytest.mark.parametrize(("clock", "met"), [(3.0, Answer.NO), (5.0, Answer.NO), (5.6, Answer.YES), (60.0, Answer.YES)])
def test_a_clock_no_longer_than_the_longest_answer_breaks_the_requirement(clock: float, met: Answer) -> None:
    """One of just that length ends some of the answers; a longer one, or none, ends none."""
    audited = Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0)
    findings = conclude(audited, played(clock))
    by_name = {each.requirement: each for each in findings.requirements}
    assert by_name[Requirement.WAITS_FOR_THE_FIRST_TOKEN].met is met
    assert by_name[Requirement.WAITS_FOR_BATCH_REPLIES].met is met
    assert by_name[Requirement.SURVIVES_SILENCE].met is Answer.YES
    assert by_name[Requirement.LETS_LONG_ANSWERS_FINISH].met is Answer.YES
    # Nothing was asked that could tell of deaths.
    assert by_name[Requirement.SHOWS_A_CUT_AS_A_CUT].met is Answer.UNKNOWN
    assert findings.smallest == (pytest.approx(clock, abs=0.01) if clock < 6 else None)
    assert ("shorter than the longest answer of 5 s" in findings.summary) is (clock < LONGEST)
