"""What a client told its user about one ending.

A *silent loss* is a cell in which the client ended without an exception, the text is not the whole answer of
the model (tokens missing, repeated or foreign), and nothing that the client handed over said so. What counts
as saying so depends on the code, hence two counts:

- silent to code that only loops over the text: no exception. To it a finish reason says nothing, nor that there
  is none; and a client that goes on for ever says nothing to anybody;
- silent to code that checks the finish reason as well: the reason that came says that all is well. No ending whose
  loss can be known brings such a reason with it, so this counts clients that make one up, and those that never end.

A model's own limit (`length`, content filter) is no loss: all that it wrote came, and the reason tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lab.plan import Plan
from lab.wire.events import FinishReason
from lab.wire.tokens import read_tokens


class ClientReport(StrEnum):
    """What the user's code could know; the meaning of each stands in `MEANINGS`."""

    COMPLETE = "complete"
    FALSE_ALARM = "false alarm"
    ERROR = "error"
    PARTIAL = "partial"
    ON_ASKING = "error on asking"
    UNENDING = "never ends"
    REASON_ONLY = "reason only"
    NO_REASON = "no reason"
    SILENT = "silent loss"


MEANINGS = {
    ClientReport.COMPLETE: "The whole answer, and no complaint.",
    ClientReport.FALSE_ALARM: "The whole answer, and an exception or a reason that calls it partial.",
    ClientReport.ERROR: "An exception, or an answer that is none.",
    ClientReport.PARTIAL: "The model's own limit, told by its reason; or an answer of a type that says partial.",
    ClientReport.ON_ASKING: "The loop ended in peace; only code that goes on to ask for the reason gets an exception.",
    ClientReport.UNENDING: "The client goes on, waiting or asking again by itself, and the code is told nothing of it.",
    ClientReport.REASON_ONLY: "Not whole, ended in peace: only the reason's word tells, and a loop does not read it.",
    ClientReport.NO_REASON: "Not whole, ended in peace without any reason: only code that checks for it can know.",
    ClientReport.SILENT: "Not whole, ended in peace, with a reason that says all is well.",
}
"""Each outcome in a sentence, for the page and for readers of this file."""


GOOD_REASONS = frozenset({"stop", "end_turn", "completed", "complete"})
"""The words by which the wire formats say that the model came to its own end."""


@dataclass(frozen=True)
class Seen:
    """What one client's user code saw.

    Args:
        text: all text that it was handed.
        finish: the finish reason in the client's words; None where none came.
        error: the exception and its causes, outermost first; empty where it ended in peace.
        message: the exception's message.
        late: the same of an exception that came only to code which asked for the reason after its loop.
        unending: the client was still at it when the harness left.
        answer: the kind of answer that `lab.consume` gave; empty for a bare client.
    """

    text: str
    finish: str | None = None
    error: tuple[str, ...] = ()
    message: str = ""
    answer: str = ""
    late: tuple[str, ...] = ()
    unending: bool = False


def is_whole(text: str, plan: Plan) -> bool:
    """Whether the text has every token of the plan once, in order, and no other."""
    stamps = read_tokens(text)
    return [(s.tag, s.number) for s in stamps] == [(plan.tag, number) for number in range(1, plan.tokens + 1)]


def judge(plan: Plan, seen: Seen) -> ClientReport:
    """Tell what the client told its user."""
    whole = is_whole(seen.text, plan) and plan.finish is FinishReason.STOP
    if seen.error or seen.answer in ("refused", "failed"):
        return ClientReport.FALSE_ALARM if whole else ClientReport.ERROR
    if seen.unending:
        return ClientReport.UNENDING
    if seen.late:
        return ClientReport.FALSE_ALARM if whole else ClientReport.ON_ASKING
    good = seen.answer == "complete" if seen.answer else seen.finish in GOOD_REASONS
    if whole:
        return ClientReport.COMPLETE if good or seen.finish is None else ClientReport.FALSE_ALARM
    if good:
        return ClientReport.SILENT
    if seen.answer or (seen.finish is not None and plan.finish is not FinishReason.STOP):
        return ClientReport.PARTIAL
    return ClientReport.NO_REASON if seen.finish is None else ClientReport.REASON_ONLY
