"""How each answer ended, as far as its client can know.

The judge's table of endings gives the word; this module says how far it can be trusted where there is no plan and
no ledger. Three things no client can see: a marker that was put on a prefix, text that was changed on the
way, and, in a format without a marker, the difference between an end and a clean cut. So `complete` is never certain
by itself; what the model's own address shows of it is for `lab.audit.conclude.compare`. A reply that repeats itself
(OpenAI's Responses) can contradict itself, and then it is `corrupt` for certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from lab.audit.conclude.confidence import Confidence, EndingFinding
from lab.endpoint.allowance import ignores_limit
from lab.evidence import Evidence, TransportEnd
from lab.judge.endings import Reading, ending_of
from lab.judge.reading import read
from lab.judge.sentences import TRANSPORT
from lab.vocabulary import Ending
from lab.wire import format_named

_QUOTED = 120
"""Characters of an error's message that are shown."""

_UNSEEN = "a marker put on a prefix and a changed text are not excluded, for no client can see them in a reply"

_REASONS: Mapping[Ending, tuple[Confidence, str]] = {
    Ending.COMPLETE: (Confidence.LIKELY, _UNSEEN),
    Ending.DECLARED_PARTIAL: (Confidence.CERTAIN, "the model says that it stopped early"),
    Ending.MODEL_ERROR_IN_STREAM: (
        Confidence.LIKELY,
        "an error event in the wire format's own shape; a gateway can write one too",
    ),
    Ending.MODEL_ERROR_STATUS: (
        Confidence.LIKELY,
        "an error document in the wire format's own shape; a gateway can write one too",
    ),
    Ending.PROXY_ERROR_STATUS: (
        Confidence.LIKELY,
        "the body is no error document of the wire format; a model server can send such a page too",
    ),
    Ending.WRONG_REPLY: (Confidence.CERTAIN, "nothing in it is an event of the wire format"),
    Ending.PROBE_TIMEOUT: (Confidence.CERTAIN, "the probe's own patience ended it"),
    Ending.CUT: (Confidence.CERTAIN, "every client can see this cut"),
    Ending.MALFORMED: (Confidence.CERTAIN, "what came breaks the wire format"),
    Ending.SILENTLY_TRUNCATED: (Confidence.CERTAIN, "a clean end with neither reason nor marker"),
    Ending.CORRUPT: (Confidence.CERTAIN, "the reply contradicts itself"),
}


def read_as_foreign(evidence: Evidence) -> Reading:
    """The evidence as that of a foreign endpoint: no plan, no ledger, no faith in numbers in the text."""
    bare = replace(evidence, plan=None, ledger=None, confirmed={})
    return Reading(bare, replace(read(bare), spoilt="", whole=None))


def ending_finding(evidence: Evidence) -> EndingFinding:
    """How one answer ended, and how sure that is."""
    return ending_of_reading(read_as_foreign(evidence))


def ending_of_reading(reading: Reading) -> EndingFinding:
    """The same for an answer that has been read as a foreign endpoint's."""
    evidence = reading.evidence
    ending = ending_of(reading)
    seconds = max(reading.trace.ended - reading.trace.started, 0)
    after = f"after {seconds:.2f} s {TRANSPORT[reading.trace.end]}"
    if ending is Ending.SILENTLY_TRUNCATED and not is_markered(evidence):
        reason = f"{after}; this wire format has no terminal marker, so an end and a clean cut look the same"
        return EndingFinding(None, Confidence.CANNOT_TELL, reason, seconds, reading.trace.status)
    confidence, why = _REASONS[ending]
    if ending is Ending.COMPLETE and not reading.facts.marker:
        why = f"a reason and a clean end, but no terminal marker; {_UNSEEN}"
    if ending is Ending.COMPLETE and reading.facts.finish is None:
        why = f"the terminal marker, but no finish reason; {_UNSEEN}"
    if ending is Ending.PROBE_TIMEOUT and reading.trace.end is TransportEnd.LEFT:
        # That the limit on tokens is ignored is a problem of its own, with its figures.
        why = "" if ignores_limit(evidence) or not reading.trace.detail else f": {reading.trace.detail}"
        reason = f"the audit itself stopped reading after {seconds:.2f} s{why}"
        return EndingFinding(None, Confidence.CANNOT_TELL, reason, seconds, reading.trace.status)
    if ending is Ending.SILENTLY_TRUNCATED and not reading.facts.body_bytes:
        confidence, why = (
            Confidence.LIKELY,
            "an empty body: cut before its first token, or from a server that sends none",
        )
    if ending is Ending.MALFORMED and reading.facts.unreadable:
        why = f"{why}, so that text may be missing: {reading.facts.unreadable}"
    if ending is Ending.CORRUPT:
        why = f"{why}: {reading.facts.contradiction}"
    if ending is Ending.MODEL_ERROR_IN_STREAM and reading.facts.error is not None:
        why = f"{why}; it says: {' '.join(reading.facts.error.message.split())[:_QUOTED]}"
    status = f"status {reading.trace.status}; " if (reading.trace.status or 200) != 200 else ""
    return EndingFinding(ending, confidence, f"{status}{after}; {why}", seconds, reading.trace.status)


def is_markered(evidence: Evidence) -> bool:
    """Whether a whole answer shows that it is whole: by a marker, or as one document."""
    return not evidence.stream or format_named(evidence.wire_format).has_marker


def survived(reading: Reading) -> tuple[float, float]:
    """How long after the request a token still came, and the longest time without a byte before one, in seconds."""
    if not reading.may_answer or not reading.facts.right:
        return 0.0, 0.0
    # That a connection stood open proves nothing: only what a token came after was survived.
    start, last = reading.trace.started, reading.facts.right[-1].at
    times = [start, *(read.at for read in reading.trace.reads if read.at < last), last]
    return last - start, max(later - earlier for earlier, later in pairwise(times))
