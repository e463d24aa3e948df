"""How the tokens came, from several samples of one setting, with the model's own address as a control if there is one.

Strategy. A path that holds does so in every sample, so a batch or clumps count only where all samples that can tell
agree, and at least two do. Separate moments are proof in a single one, as long as no other sample contradicts.
The model's own address, asked by the same probe in the same minutes, is the control for what the model does and for
what the machine does: with it, a batch and clumps become certain; without it, a model that writes so looks the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.audit.confidence import Confidence, DeliveryFinding
from lab.audit.signs import Measured
from lab.judge.gaps import FEW, LEAST_TOTAL, MOMENTS, SHORT_HOLD, delivery_by_gaps
from lab.words import Delivery

SAMPLES = 2
"""Samples that must agree before a path is said to hold tokens."""

BATCH_OF_DIRECT = 0.2
"""Part of the time over which the model's own address spreads its tokens, within which a batch comes."""

CLUMPS_OF_DIRECT = 0.5
"""Part of the moments that the model's own address shows for as many tokens, below which a path makes clumps."""

FIRST_TOKEN_LATE = 0.5
"""Seconds by which a path's first token is later than the model's own before that says anything."""


def delivery_finding(group: Sequence[Measured], direct: Sequence[Measured] = ()) -> DeliveryFinding:
    """How the tokens of one setting came.

    Args:
        group: the samples of one way and setting.
        direct: samples of the model's own address, asked alike; empty where there are none.
    """
    told = [one for one in group if one.signs.tokens]
    if not told:
        return DeliveryFinding(Delivery.NONE, Confidence.CERTAIN, f"no token came in {_samples(group)}")
    if not told[0].signs.stream:
        return DeliveryFinding(Delivery.BATCHED, Confidence.CERTAIN, "one document, as asked for")
    found = [delivery_by_gaps(one.pattern) for one in told]
    streams = any(delivery_by_gaps(one.pattern)[0] is Delivery.INCREMENTAL for one in direct)
    # All of its samples, for those that were read late tell how far lateness alone can go.
    control = [one for one in direct if one.signs.tokens >= MOMENTS]
    compared = _against(told, control) if streams else None
    return compared or _alone(told, found, streams)


def _against(told: Sequence[Measured], control: Sequence[Measured]) -> DeliveryFinding | None:
    """What the comparison with an address that streams shows; None if it shows no holding."""
    long = [one for one in told if one.signs.tokens >= FEW and one.signs.total >= LEAST_TOTAL]
    if not long or len(long) < len(told):
        return None
    sure = Confidence.CERTAIN if len(long) >= SAMPLES else Confidence.LIKELY
    spread = min(one.pattern.span / one.signs.tokens for one in control)
    if all(_is_batch(one, spread) for one in long):
        held, free = _typical(long), _typical(control)
        reason = (
            f"all tokens came within {held.pattern.span:.2f} s at the end of {held.signs.total:.2f} s "
            f"in {_samples(long)}, while the model's own address spreads them over {free.pattern.span:.2f} s"
        )
        return DeliveryFinding(Delivery.BATCHED, sure, reason)
    rate = min(one.signs.moments / one.signs.tokens for one in control)
    if all(_is_clumped(one, rate) for one in long):
        held, free = _typical(long), _typical(control)
        reason = (
            f"{held.signs.tokens} tokens came at {held.signs.moments} moments in {_samples(long)}, "
            f"while the model's own address brings {free.signs.tokens} at {free.signs.moments}"
        )
        return DeliveryFinding(Delivery.COALESCED, sure, reason + _extras(long))
    return None


def _is_batch(one: Measured, spread: float) -> bool:
    expected = spread * one.signs.tokens
    at_end = one.signs.total - one.pattern.times[-1] <= max(BATCH_OF_DIRECT * expected, SHORT_HOLD)
    late = one.pattern.times[0] >= (1 - BATCH_OF_DIRECT) * expected
    return expected >= LEAST_TOTAL and one.pattern.span <= BATCH_OF_DIRECT * expected and at_end and late


def _is_clumped(one: Measured, rate: float) -> bool:
    # With few tokens a busy machine can be late with all of them.
    few = one.signs.tokens >= MOMENTS and one.signs.moments <= CLUMPS_OF_DIRECT * rate * one.signs.tokens
    return few and one.signs.moments > 1 and one.signs.gaps_between_moments.median >= SHORT_HOLD


def _alone(told: Sequence[Measured], found: Sequence[tuple[Delivery, str]], has_control: bool) -> DeliveryFinding:
    words = {delivery for delivery, _ in found if delivery is not Delivery.UNPROVEN}
    reasons = [reason for delivery, reason in found if delivery in words]
    if len(words) > 1:
        listed = " and ".join(sorted(words))
        return _cannot_tell(f"the samples differ: {listed}, for example {reasons[0]}; and {reasons[-1]}")
    if not words:
        return _cannot_tell(found[0][1] + _extras(told))
    (word,) = words
    if word is Delivery.INCREMENTAL:
        sure = Confidence.CERTAIN if has_control else Confidence.LIKELY
        caveat = "; a constant delay, or a lag of one token, leaves no sign"
        return DeliveryFinding(word, sure, f"{reasons[0]}, in {len(reasons)} of {_samples(told)}{caveat}")
    if len(reasons) < max(SAMPLES, len(found)):
        return _cannot_tell(f"{reasons[0]}, but only {len(reasons)} of {_samples(told)} shows it")
    other = "a model that answers in one piece" if word is Delivery.BATCHED else "a model that writes in clumps"
    reason = f"{reasons[0]}, and so in {_samples(told)}{_growing(told, word)}{_extras(told)}; {other} looks the same"
    return DeliveryFinding(word, Confidence.LIKELY, reason)


def _cannot_tell(reason: str) -> DeliveryFinding:
    return DeliveryFinding(Delivery.UNPROVEN, Confidence.CANNOT_TELL, reason)


def _growing(told: Sequence[Measured], word: Delivery) -> str:
    """Whether longer answers have a later first token, which a buffer does and a slow start does not."""
    short = min(told, key=lambda one: one.signs.tokens).signs
    long = max(told, key=lambda one: one.signs.tokens).signs
    if word is not Delivery.BATCHED or long.tokens < 1.5 * short.tokens:
        return ""
    if short.first_token is None or long.first_token is None or long.first_token < 1.25 * short.first_token:
        return ""
    return (
        f"; the first token of {short.tokens} came after {short.first_token:.2f} s "
        f"and that of {long.tokens} after {long.first_token:.2f} s"
    )


def _extras(told: Sequence[Measured]) -> str:
    """Sizes and grids that most samples share."""
    parts = []
    sticky = [one.signs.sticky for one in told if one.signs.sticky]
    if 2 * len(sticky) > len(told):
        parts.append(f"bursts stick to {min(sticky):,} bytes")
    grids = [one.signs.grid for one in told if one.signs.grid]
    if 2 * len(grids) > len(told):
        parts.append(f"moments lie on a grid of {min(grids) * 1e3:.0f} ms")
    return "".join(f"; {part}" for part in parts)


def _typical(group: Sequence[Measured]) -> Measured:
    return sorted(group, key=lambda one: one.pattern.span)[len(group) // 2]


def _samples(group: Sequence[Measured]) -> str:
    return f"{len(group)} sample{'s' if len(group) != 1 else ''}"
