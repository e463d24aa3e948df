"""What the comparison with the model's own address shows of a path's delivery: held, as written, or in between.

Strategy. The control was asked alike, by the same probe in the same minutes, so what the model and the machine do
is in it too. A path holds where every sample brings what the control spreads at the end, in half as many bursts, or
with a beginning that came at once and late. It hands on at once only where pace and first token are the control's as
well: a path that holds the whole answer and replays it step by step shows as many bursts as one that streams.

Warning: a path that replays at the model's own pace is a constant delay of the whole length; it is left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lab.audit.conclude.confidence import Confidence, DeliveryFinding
from lab.audit.conclude.metrics import Measured, samples_in_words
from lab.judge.gaps import APART, EVENTS_A_READ, FEW, HEAD, LEAST_TOTAL, MOMENTS, SHORT_HOLD
from lab.vocabulary import Delivery

SAMPLES = 2
"""Samples that must agree before anything is certain, of the path and of the control each."""

BATCH_OF_DIRECT = 0.2
"""Part of the time over which the model's own address spreads its tokens, within which a batch comes."""

REPLAY_OF_DIRECT = 0.6
"""Part of that time within which a path replays what it has held; a model's pace differs less from one hour's answers
to the next."""

BURSTS_OF_DIRECT = 0.5
"""Part of the bursts that the model's own address shows for as many tokens, below which a path collects tokens."""

LATE = 0.5
"""Seconds by which a path's first token may be later than the model's own; more is no way that a network has."""

PACES = (0.7, 1.4)
"""Parts of the control's time to each token within which that of the path is the same pace."""

MORE_AT_ONCE = 1.25
"""Times as many events a read as the control's, at most, for a path that collects no tokens."""


def usable(direct: Sequence[Measured]) -> list[Measured]:
    """The samples that can be a control; those that were read late too, for they tell how far lateness can go."""
    return [one for one in direct if one.metrics.tokens >= MOMENTS and one.pattern.span > 0]


OWN = "the model's own address"
"""The control that settles most."""

PLAIN = "the same route without a content coding offered"
"""The control of those that are asked with one; what both do alike, it does not show."""


def held_against(telling: Sequence[Measured], control: Sequence[Measured], own: str = OWN) -> DeliveryFinding | None:
    """What shows that the path holds tokens; None if nothing does.

    Args:
        telling: the samples with tokens of one setting.
        control: those that they are compared with.
        own: what the control is, in words.
    """
    long = [one for one in telling if one.metrics.tokens >= FEW and one.metrics.total >= LEAST_TOTAL]
    if not control or not long or len(long) < len(telling):
        return None
    sure = Confidence.CERTAIN if len(long) >= SAMPLES and own is OWN else Confidence.LIKELY
    spread = min(_pace(one) for one in control)
    rate = min(one.metrics.bursts / one.metrics.tokens for one in control)
    waits = max(one.pattern.times[0] for one in control)
    most_at_once = max(_first_burst(one) for one in control)
    held, free = _typical(long), _typical(control)
    if all(_is_batch(one, spread) for one in long):
        reason = (
            f"all tokens came within {held.pattern.span:.2f} s at the end of {held.metrics.total:.2f} s "
            f"in {samples_in_words(long)}, while {own} spreads them over {free.pattern.span:.2f} s"
        )
        return DeliveryFinding(Delivery.BATCHED, sure, reason)
    if all(_is_replayed(one, spread, waits) for one in long):
        reason = (
            f"nothing came for {held.pattern.times[0]:.2f} s, and then {held.metrics.tokens} tokens within "
            f"{held.pattern.span:.2f} s in {samples_in_words(long)}, while {own} spreads {free.metrics.tokens} over "
            f"{free.pattern.span:.2f} s: something holds the answer and replays it"
        )
        return DeliveryFinding(Delivery.BATCHED, sure, reason)
    if all(_comes_in_bursts(one, rate) for one in long):
        reason = (
            f"{held.metrics.tokens} tokens came in {held.metrics.bursts} bursts in {samples_in_words(long)}, "
            f"while {own} brings {free.metrics.tokens} in {free.metrics.bursts}"
        )
        return DeliveryFinding(Delivery.COALESCED, sure, reason)
    if all(_has_held_beginning(one, most_at_once, spread, waits) for one in long):
        reason = (
            f"the first {_first_burst(held)} tokens came at once after {held.pattern.times[0]:.2f} s in "
            f"{samples_in_words(long)}, while {own} brings {most_at_once} at most, after {waits:.2f} s at most"
        )
        return DeliveryFinding(Delivery.COALESCED, sure, reason)
    return None


def doubt_of(telling: Sequence[Measured], control: Sequence[Measured]) -> str:
    """Why tokens that came one by one may have been held all the same; empty if the control excludes it."""
    late, most = lateness(telling, control), max(one.pattern.times[0] for one in control)
    if late > LATE and median(one.pattern.first for one in telling) > most:
        return (
            f"the first token came {late:.2f} s later than from the model's own address, so something may hold the "
            "answer and replay it"
        )
    pace, own = median(_pace(one) for one in telling), [_pace(one) for one in control]
    part = pace / median(own)
    if not PACES[0] <= part <= PACES[1] and not min(own) <= pace <= max(own):
        return (
            f"a token came every {pace * 1e3:.1f} ms, and every {median(own) * 1e3:.1f} ms from the model's own "
            "address, so the path sets a pace of its own"
        )
    most_at_once = max(_first_burst(one) for one in control)
    crowded = [
        one
        for one in telling
        if (_first_burst(one) - most_at_once) * median(own) > SHORT_HOLD and _first_burst(one) >= most_at_once + FEW
    ]
    if crowded and late > SHORT_HOLD:
        own_words = f"{most_at_once} at most from the model's own address"
        return f"the first {_first_burst(crowded[0])} tokens came at once, and {own_words}"
    return ""


def lateness(telling: Sequence[Measured], control: Sequence[Measured]) -> float:
    """Seconds by which the path's first token is later than the model's own, in the median; negative if earlier."""
    return median(one.pattern.first for one in telling) - median(one.pattern.times[0] for one in control)


def noise(control: Sequence[Measured]) -> float:
    """Seconds by which the model's own first tokens differ among themselves."""
    times = [one.pattern.times[0] for one in control]
    return max(times) - min(times)


def events_a_read(control: Sequence[Measured]) -> float:
    """How many events a read may bring on a path that collects no tokens."""
    most = max((one.metrics.tokens / one.pattern.reads for one in control), default=0.0)
    return max(EVENTS_A_READ, MORE_AT_ONCE * most)


def other_lengths(telling: Sequence[Measured], control: Sequence[Measured]) -> str:
    """How the answers on the path differ in length from all of the model's own; empty if they do not.

    A single event more or less is no proof, for models differ so from one answer to the next.
    """
    counts, own = [one.metrics.tokens for one in telling], [one.metrics.tokens for one in control]
    if len(counts) < SAMPLES or len(own) < SAMPLES:
        return ""
    for word, near, far in (("shorter", max(counts), min(own)), ("longer", max(own), min(counts))):
        if far - near > max(1, LENGTHS * near):
            listed = f"{min(counts)} to {max(counts)} events against {min(own)} to {max(own)}"
            return f"every answer is {word} than all from the model's own address ({listed})"
    return ""


LENGTHS = 0.05
"""Part of the shorter answers' length by which all longer ones must be longer before that says anything."""


def _pace(one: Measured) -> float:
    """Seconds from token to token on the average."""
    return one.pattern.span / max(one.metrics.tokens - 1, 1)


def _first_burst(one: Measured) -> int:
    """Tokens of the first burst."""
    times = one.pattern.times
    return sum(time <= times[0] + HEAD for time in times)


def _is_batch(one: Measured, spread: float) -> bool:
    expected = spread * one.metrics.tokens
    at_end = one.metrics.total - one.pattern.times[-1] <= max(BATCH_OF_DIRECT * expected, SHORT_HOLD)
    first = one.pattern.first
    late = first >= (1 - BATCH_OF_DIRECT) * expected
    together = one.pattern.times[-1] - first <= BATCH_OF_DIRECT * expected
    return expected >= LEAST_TOTAL and together and at_end and late


def _is_replayed(one: Measured, spread: float, waits: float) -> bool:
    """Nothing until the model has ended, and then all of it faster than a model that writes it."""
    expected, first = spread * one.metrics.tokens, one.pattern.first
    late = first >= (1 - BATCH_OF_DIRECT) * expected and first >= waits + LATE
    return expected >= LEAST_TOTAL and late and one.pattern.times[-1] - first <= REPLAY_OF_DIRECT * expected


def _comes_in_bursts(one: Measured, rate: float) -> bool:
    bursts = one.pattern.bursts
    events = sum(burst.events for burst in bursts)
    # With few tokens a busy machine can be late with all of them.
    few = events + 1 >= MOMENTS and len(bursts) <= BURSTS_OF_DIRECT * rate * events
    return few and median(burst.gap for burst in bursts) >= SHORT_HOLD


def _has_held_beginning(one: Measured, most_at_once: int, spread: float, waits: float) -> bool:
    """More tokens at once than ever from the model itself, and so much later as it takes to write most of them."""
    more = _first_burst(one) - most_at_once
    worth = more * spread
    awake = one.pattern.times[0] - one.pattern.first <= APART
    # What is nearly all is no beginning, and nothing behind it shows that the path streams afterwards.
    awake = awake and 2 * _first_burst(one) <= one.metrics.tokens
    return awake and more >= FEW and worth >= 2 * SHORT_HOLD and one.pattern.first >= waits + worth / 2


def _typical(group: Sequence[Measured]) -> Measured:
    return sorted(group, key=lambda one: one.pattern.span)[len(group) // 2]
