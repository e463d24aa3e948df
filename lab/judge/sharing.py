"""The rules about requests that share a path: who waits for whom, and whose connection carries the next. Pure."""

from __future__ import annotations

from lab.judge.doubt import LONGEST_WAIT, TOLD
from lab.judge.exchanged import Exchanged, Exchanges
from lab.judge.rules import Checked, Reports, each_of, tell_of
from lab.vocabulary import Ending


def served_at_once(exchanges: Exchanges, _: Reports) -> Checked:
    """Every request comes to the model without a wait, and its answer to the end."""
    return each_of(
        exchanges,
        f"every request at the model within {LONGEST_WAIT:g} s, and every answer complete",
        lambda _: True,
        lambda each: each.verdict.ending is Ending.COMPLETE and (_waited(each) or 0.0) <= LONGEST_WAIT,
        _tell_wait,
    )


def _waited(each: Exchanged) -> float | None:
    """Seconds from a request to its coming to the model, without those in which either end slept; None if never.

    Those for which its client had no connection for it are among them.
    """
    evidence = each.evidence
    if evidence.ledger is None:
        return None
    began, came = evidence.trace.asked_at, evidence.ledger.started
    return evidence.queued + max(0.0, came - began - evidence.stalled(began, came))


def _tell_wait(each: Exchanged) -> str:
    waited = _waited(each)
    on_its_way = "never came to the model" if waited is None else f"came to the model after {waited:.2f} s"
    queued = each.evidence.queued
    without = f", for {queued:.2f} of which its client had no connection free" if queued >= TOLD else ""
    return f"{on_its_way}{without}; {tell_of(each)}"


def connections_shared(exchanges: Exchanges, _: Reports) -> Checked:
    """Of requests that come one after the other, at most half open a connection to the model of their own."""
    expected = "at most half of the requests on a connection of their own"
    ledgers = [each.evidence.ledger for each in exchanges.values() if each.evidence.ledger is not None]
    if len(ledgers) < len(exchanges) or len(ledgers) < 2:
        return Checked(expected, f"{len(ledgers)} of {len(exchanges)} requests came to the model", False, False)
    opened = sum(not each.reused for each in ledgers)
    return Checked(expected, f"{opened} connections for {len(ledgers)} requests", met=2 * opened <= len(ledgers))
