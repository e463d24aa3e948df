"""How the tokens came: one at a time as they were written, in bursts, or all at the end.

Strategy. In lockstep the verdict does not depend on the machine's speed. The model server holds token
i+1 until token i is confirmed, so a path that waits for more bytes shows itself by a confirmation that
never comes. A path that waits for a timeout (HAProxy: up to 200 ms) lets every confirmation come, late; it
is told by the *least* delay of all tokens. Load adds delay to some tokens, and to many if it is heavy,
but it does not take away a floor of 200 ms from every one, nor put one of 100 ms under all of them.

Warning: without lockstep, no stopwatch proves that tokens were handed on at once, so nothing without it is
ever called incremental. The stamped rules speak only where the path must have held tokens: on a busy machine
the probe itself reads late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from lab.evidence import Evidence, Hold, Ledger, Trace
from lab.judge.endings import Reading
from lab.judge.gaps import ASLEEP, FEW, Pattern, delivery_by_gaps
from lab.judge.reading import Arrival, Facts
from lab.plan import Plan
from lab.vocabulary import Delivery

LEAST_DELAY = 0.1
"""Seconds. Half of the shortest hold known (HAProxy's 200 ms). The least delay of twenty tokens on a path that
hands them on at once is below 5 ms; on two cores with a load of sixteen, the least of only six was seen above
50 ms, so the scenarios send twenty over most of a second."""

LOADED = 0.25
"""Part of a time that probe or model server lost, beyond which the proxy will have lost a good part of it too: it runs
on the same machine, and of its lateness nobody tells. A path that holds tokens holds nearly all of them even then; one
that is starved is late with many."""

CLEAR_SPREAD = 0.5
"""Seconds over which tokens must have left before their arriving all together says anything."""

CLEAR_BURST = 0.1
"""Seconds by which a token must have left before another that came in the same read, to count as held."""

CLEAR_SHARE = 0.75
"""Share of the tokens that must have been held so. In pairs, half of them are: HAProxy at ten tokens a second
makes pairs or not from one run to the next, so a verdict at one half would be a toss."""


@dataclass(frozen=True)
class Delivered:
    """How the tokens came, and the numbers that show it.

    Args:
        delivery: how they came.
        sentence: the numbers.
        late: whether it is unproven only because the probe or the model server was late itself.
    """

    delivery: Delivery
    sentence: str
    late: bool = False


def delivery_of(reading: Reading) -> Delivered:
    """How the tokens of an exchange came."""
    evidence, facts = reading.evidence, reading.facts
    if not facts.right:
        return Delivered(Delivery.NONE, "no token came")
    if not evidence.stream:
        return Delivered(Delivery.BATCHED, "one document, as asked for")
    if evidence.trace.pause is not None:
        return Delivered(Delivery.UNPROVEN, "its client did not read all the time, so nothing tells how tokens came")
    plan = evidence.plan
    if plan is not None and plan.lockstep and evidence.ledger is not None:
        return _in_lockstep(evidence, plan, evidence.ledger, facts)
    left = _left_times(evidence, facts)
    return _by_gaps(reading) if left is None else _stamped(evidence, facts.right, left)


def _in_lockstep(evidence: Evidence, plan: Plan, ledger: Ledger, facts: Facts) -> Delivered:
    if not ledger.tokens:
        return Delivered(Delivery.UNPROVEN, "the ledger knows of no token, so nothing tells")
    trace = evidence.trace
    arrived = {arrival.number: arrival.at for arrival in facts.right}
    left = {token.number: token.at for token in ledger.tokens}
    ran_out = [hold for hold in ledger.holds if not hold.confirmed and not _cut_short(hold, evidence, ledger)]
    # A token that had arrived was not held by the path, even if its confirmation came late.
    ran_out = [hold for hold in ran_out if arrived.get(hold.number, hold.at) >= hold.at]
    broken = [hold for hold in ran_out if _awake(trace, left.get(hold.number, hold.at), hold.at)]
    holds = [*(hold for hold in ledger.holds if hold.confirmed), *broken]
    # One whole hold in which the probe ran and nothing came is proof enough. Those behind it are so short that on a
    # busy machine they run out by themselves.
    whole = [hold for hold in broken if hold.at - left.get(hold.number, hold.at) >= plan.hold / 2]
    if ran_out and not whole:
        late = f"{len(ran_out)} holds ran out, and the probe itself was late in each whole one"
        return Delivered(Delivery.UNPROVEN, late, late=True)
    nothing_before = min(arrived.values()) >= max(token.at for token in ledger.tokens) - LEAST_DELAY
    if holds and len(broken) == len(holds) and nothing_before:
        return Delivered(Delivery.BATCHED, f"none of {len(holds)} holds was confirmed")
    if broken:
        first = broken[0].number
        sentence = f"{len(broken)} of {len(holds)} holds ran out, the first at token {first}"
        return Delivered(Delivery.COALESCED, sentence)
    return _by_least_delay(evidence, left, arrived, f"{len(holds)} holds confirmed")


def _by_least_delay(
    evidence: Evidence, left: Mapping[int, float], arrived: Mapping[int, float], holds: str
) -> Delivered:
    """Whether every token waited, where every confirmation came.

    A stall only adds to a delay, so a small one proves that nothing was held. A large one proves the contrary only
    as far as both ends ran meanwhile: the token would have left and been read at once.
    """
    delays = {number: arrived[number] - at for number, at in left.items() if number in arrived}
    least = min(delays.values(), default=0.0)
    sentence = f"{holds}, least path delay {_ms(least)}"
    if least < LEAST_DELAY:
        return Delivered(Delivery.INCREMENTAL, sentence)
    awake = {number: delay - evidence.stalled(left[number], arrived[number]) for number, delay in delays.items()}
    held = sum(delay >= LEAST_DELAY for delay in awake.values())
    since, until = min(left.values()), max(arrived.values())
    loaded = evidence.stalled(since, until) > LOADED * (until - since)
    if held < (max(FEW, CLEAR_SHARE * len(awake)) if loaded else FEW):
        late = held < len(awake)
        return Delivered(Delivery.UNPROVEN, f"{sentence}, of too few tokens to blame the path", late)
    return Delivered(Delivery.COALESCED, sentence)


def _awake(trace: Trace, since: float, until: float) -> bool:
    """Whether the probe ran for most of a time, so that it would have read what was there."""
    return trace.stalled(since, until) <= ASLEEP * (until - since)


def _cut_short(hold: Hold, evidence: Evidence, ledger: Ledger) -> bool:
    """Whether a hold ended because the exchange did, so that it proves nothing."""
    ends = [evidence.trace.ended, *(at for at in (ledger.client_left, ledger.fault_at) if at is not None)]
    return hold.at >= min(ends)


def _left_times(evidence: Evidence, facts: Facts) -> dict[int, float] | None:
    """When each token left, on the probe's clock; None if nothing says so.

    Stamps without a ledger are on a timeout of their own; they are laid so that the fastest token took
    no time at all, which can only make the path look better than it is.
    """
    if evidence.ledger is not None and evidence.ledger.tokens:
        return {token.number: token.at for token in reversed(evidence.ledger.tokens)}
    stamped = {arrival.number: arrival.left for arrival in facts.right if arrival.left is not None}
    if len(stamped) < len(facts.right):
        return None
    shift = min(arrival.at - stamped[arrival.number] for arrival in facts.right)
    return {number: left + shift for number, left in stamped.items()}


def _stamped(evidence: Evidence, right: tuple[Arrival, ...], left: dict[int, float]) -> Delivered:
    trace, times = evidence.trace, sorted(left.values())
    spread = times[-1] - times[0]
    known = [arrival for arrival in right if arrival.number in left]
    if spread < CLEAR_SPREAD or len(known) < 2:
        late = len(known) > 1 and _planned_spread(evidence, left) >= CLEAR_SPREAD
        return Delivered(Delivery.UNPROVEN, f"tokens left within {_ms(spread)}, too close together to tell", late)
    first = min(arrival.at for arrival in known)
    if first >= times[-1]:
        if not _awake(trace, times[0], times[-1]):
            sentence = f"the probe itself was late while tokens left over {_ms(spread)}"
            return Delivered(Delivery.UNPROVEN, sentence, late=True)
        return Delivered(Delivery.BATCHED, f"nothing came while tokens left over {_ms(spread)}")
    bursts: dict[float, float] = {}
    for arrival in known:
        bursts[arrival.at] = max(bursts.get(arrival.at, -inf), left[arrival.number])
    waited = [(left[arrival.number], arrival.at, bursts[arrival.at] - left[arrival.number]) for arrival in known]
    held = sum(wait - evidence.stalled(since, until) >= CLEAR_BURST for since, until, wait in waited)
    sentence = f"{held} of {len(known)} tokens waited {_ms(CLEAR_BURST)} or more for a later one"
    if held >= CLEAR_SHARE * len(known):
        return Delivered(Delivery.COALESCED, sentence)
    late = sum(wait >= CLEAR_BURST for _, _, wait in waited) >= CLEAR_SHARE * len(known)
    return Delivered(Delivery.UNPROVEN, sentence, late)


def _planned_spread(evidence: Evidence, left: Mapping[int, float]) -> float:
    """Seconds over which these tokens would have left if the model server had kept its schedule."""
    plan = evidence.plan
    return 0.0 if plan is None else plan.due(max(left)) - plan.due(min(left))


def _by_gaps(reading: Reading) -> Delivered:
    """The rules for a foreign endpoint: only when things came is known, not when they left."""
    trace = reading.trace
    times = sorted(arrival.at - trace.started for arrival in reading.facts.right)
    delivery, sentence = delivery_by_gaps(Pattern.of(trace, times))
    # One exchange, of which nobody has looked where its bursts end, is too little for that word.
    return Delivered(Delivery.UNPROVEN if delivery is Delivery.INCREMENTAL else delivery, sentence)


def _ms(seconds: float) -> str:
    # Two clocks differ by a little, so that a path without delay may seem to have less than none.
    return f"{max(0.0, seconds) * 1e3:,.0f} ms"
