"""Evidence into records: what `results.json` keeps of an exchange, on the exchange's own clock."""

from __future__ import annotations

from lab.judge import Exchanged
from lab.results import ExchangeResult, TokenTimes


def exchange_result(exchanged: Exchanged) -> ExchangeResult:
    """The record of one exchange; times count from the request."""
    evidence, verdict = exchanged.evidence, exchanged.verdict
    trace, ledger = evidence.trace, evidence.ledger
    return ExchangeResult(
        name=exchanged.exchange.name,
        plan=exchanged.exchange.plan.to_query(),
        wire_format=evidence.wire_format,
        stream=evidence.stream,
        delivery=verdict.delivery,
        ending=verdict.ending,
        cause=verdict.cause,
        timeout=verdict.timeout,
        sentence=verdict.sentence,
        flags=tuple(sorted(verdict.flags)),
        received=verdict.received,
        written=verdict.written,
        planned=exchanged.exchange.plan.tokens,
        status=trace.status,
        transport_end=trace.end,
        first_token=verdict.first_token,
        longest_silence=verdict.longest_silence,
        total=verdict.total,
        attempts=ledger.attempts if ledger else 0,
        tokens=_token_times(exchanged),
        heartbeats=tuple(round(at - trace.started, 4) for at in ledger.heartbeats) if ledger else (),
    )


def _token_times(exchanged: Exchanged) -> tuple[TokenTimes, ...]:
    evidence = exchanged.evidence
    started = evidence.trace.started
    left = {token.number: round(token.at - started, 4) for token in evidence.ledger.tokens} if evidence.ledger else {}
    arrived: dict[int, float] = {}
    for arrival in exchanged.reading.facts.right:
        arrived.setdefault(arrival.number, round(arrival.at - started, 4))
    numbers = sorted(left.keys() | arrived.keys())
    return tuple(TokenTimes(number, left.get(number), arrived.get(number)) for number in numbers)
