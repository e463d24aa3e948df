"""Audit, judge and consumer say the same of every reply that stands in a table of the tests.

The audit is the judge that knows neither plan nor ledger. What only these can tell (a forged end, a token that is not
the model's) it cannot, and no more can the consumer.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from judge.builder import Build
from judge.readings import CASES
from wire.test_recorded import ALL

from lab.consume import Answer, Consumer
from lab.evidence import Evidence, TransportEnd
from lab.judge import Exchanged
from lab.judge.rules import UNSURE
from lab.judge.verdict import Verdict
from lab.plan import make_plan
from lab.suite.exchange import Exchange
from lab.vocabulary import Ending

from .test_whole import DONE, ERRORS, FOREIGN, HARMLESS, NEAR, WRITERS, choice

BEGUN, ENDED = choice(delta={"content": "Good"}), choice("stop", delta={}) + DONE

BODIES: dict[str, tuple[str, bytes]] = {
    **{name: (wire_format, body) for name, (wire_format, body, _) in ALL.items()},
    **NEAR,
    **{name: (wire_format, body) for name, (wire_format, body, _) in FOREIGN.items()},
    **{name: ("openai-chat", BEGUN + frame + ENDED) for name, frame in HARMLESS.items()},
    **{name: (wire_format, BEGUN + error) for name, (wire_format, error) in ERRORS.items()},
    **{f"{name}, a whole call": (name, write('{"a": 1}')) for name, write in WRITERS.items()},
    **{f"{name}, half a call": (name, write('{"a": ')) for name, write in WRITERS.items()},
}

REPLIES = {
    **{name: build.evidence() for name, (build, _, _) in CASES.items()},
    **{name: Build(wire_format=wire_format, body=body).evidence() for name, (wire_format, body) in BODIES.items()},
}

ENDS = {
    TransportEnd.FRAMED: None,
    TransportEnd.CLOSED: None,
    TransportEnd.MIDDLE_TIMEOUT: TimeoutError("silent"),
}
"""What a client raises at the end of a body; at any other, that the connection failed."""

SAME: dict[Ending, set[str]] = {
    Ending.COMPLETE: {"Complete"},
    Ending.DECLARED_PARTIAL: {"token-limit", "content-filter", "no-marker", "empty"},
    Ending.SILENTLY_TRUNCATED: {"no-marker", "empty"},
    Ending.CUT: {"cut", "unreachable"},
    Ending.PROBE_TIMEOUT: {"timeout"},
    Ending.MALFORMED: {"malformed", "wrong-reply"},
    Ending.CORRUPT: {"malformed"},
    Ending.MODEL_ERROR_IN_STREAM: {"model-error", "Refused"},
    Ending.MODEL_ERROR_STATUS: {"Refused"},
    Ending.PROXY_ERROR_STATUS: {"proxy-error-status"},
    Ending.WRONG_REPLY: {"wrong-reply"},
}
"""What the consumer may call what the audit calls so."""

UNSURE_TOO = {"no-marker", "no-finish-reason", "unknown-finish-reason", "tool-call", "empty"}
"""What it may call an answer that came to its end with a flag of the audit's that says that it may not be whole."""


def consumed(evidence: Evidence) -> Answer:
    """What the consumer makes of a reply."""
    trace = evidence.trace
    consumer = Consumer(evidence.wire_format, stream=evidence.stream)
    if trace.status is not None:
        consumer.head(trace.status, trace.headers)
    for piece in trace.body:
        consumer.feed(piece.data)
    return consumer.close(ENDS.get(trace.end, ConnectionError(trace.end)))


def audited(evidence: Evidence) -> Verdict:
    """What the audit makes of it."""
    return Exchanged.alone(Exchange("any", make_plan({})), replace(evidence, plan=None, ledger=None)).verdict


def word_for(answer: Answer) -> str:
    """The one word for an answer: its reason, where it is neither complete nor refused."""
    kind = type(answer).__name__
    return kind if kind in ("Complete", "Refused") else str(answer.reason)  # type: ignore[union-attr]


UNKNOWABLE = {"h-no-http", "a-stream-without-an-end", "token-missing", "token-twice", "tokens-swapped", "token-foreign"}
"""Replies that say more to the audit than a client is told: that it was no HTTP, and which tokens are the lab's."""


@pytest.mark.parametrize("name", [name for name in REPLIES if name not in UNKNOWABLE])
def test_audit_and_consumer_agree(name: str) -> None:
    """Whole for one is whole for the other, and whatever is not has the same reason."""
    verdict, answer = audited(REPLIES[name]), consumed(REPLIES[name])
    allowed = UNSURE_TOO if verdict.ending is Ending.COMPLETE and verdict.flags & UNSURE else SAME[verdict.ending]
    assert word_for(answer) in allowed


@pytest.mark.parametrize("name", CASES)
def test_judge_and_audit_agree(name: str) -> None:
    """The ledger adds what nobody else can know; it takes back no failure that a client can see."""
    build, ending, _ = CASES[name]
    seen = audited(build.evidence()).ending
    if seen is not ending:
        assert ending in (Ending.FORGED_COMPLETE, Ending.CORRUPT, Ending.PROXY_ERROR_STATUS)
        assert seen in (Ending.COMPLETE, Ending.DECLARED_PARTIAL, Ending.MODEL_ERROR_STATUS)
