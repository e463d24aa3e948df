"""How the tokens came, from several samples of one setting, with the model's own address as a control if there is one.

Strategy. A path that holds does so in every sample, so a batch or bursts count only where all samples that can tell
agree, and at least two do. Bursts that lie apart prove that nothing was held for longer than the time between them;
they must stand in most samples, and in all of them for `certain`, which needs the control as well (see
`lab.audit.conclude.control`). Without it three things stay open, and the reason says which: a model that answers in
one piece, a model that writes in even steps, and a path that holds the whole answer and replays it.
A hold by size shows itself: bursts that stick to a size in bytes and end inside events are not a model's.
What the probe itself slept through is held against nobody; see `lab.judge.gaps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lab.audit.conclude.confidence import Confidence, DeliveryFinding
from lab.audit.conclude.control import (
    PLAIN,
    SAMPLES,
    doubt_of,
    events_a_read,
    held_against,
    lateness,
    noise,
    other_lengths,
    usable,
)
from lab.audit.conclude.metrics import Measured, samples_in_words
from lab.judge.gaps import (
    BURST,
    BURST_GAP,
    BURSTS_OF_A_TIMER,
    FEW,
    LEAST_TOTAL,
    SHORT_HOLD,
    WHOLE_SHARE,
    delivery_by_gaps,
    in_even_bursts,
    is_disturbed,
    numbers_of,
    vary,
)
from lab.vocabulary import Delivery

MOST_OF_THEM = 0.5
"""Part of the samples that are long enough, of which at least so many must show bursts that lie apart."""


def delivery_finding(
    group: Sequence[Measured], direct: Sequence[Measured] = (), plain: Sequence[Measured] = ()
) -> DeliveryFinding:
    """How the tokens of one setting came.

    Args:
        group: the samples of one route and setting.
        direct: samples of the model's own address, asked alike; empty where there are none.
        plain: samples of the same route without a content coding, where the setting has one; else empty.
    """
    telling = [one for one in group if one.metrics.tokens]
    if not telling:
        return DeliveryFinding(Delivery.NONE, Confidence.CERTAIN, f"no token came in {samples_in_words(group)}")
    if not telling[0].metrics.stream:
        return DeliveryFinding(Delivery.BATCHED, Confidence.CERTAIN, "one document, as asked for")
    control = usable(direct)
    held = held_against(telling, control) or held_against(telling, usable(plain), PLAIN) or _held_by_size(telling)
    if held is not None:
        return DeliveryFinding(held.delivery, held.confidence, held.reason + _extras(telling))
    found = [delivery_by_gaps(one.pattern, events_a_read(control)) for one in telling]
    words = {delivery for delivery, _ in found if delivery is not Delivery.UNPROVEN}
    if len(words) > 1:
        reasons = [reason for delivery, reason in found if delivery in words]
        listed = " and ".join(sorted(words))
        return _cannot_tell(f"the samples differ: {listed}, for example {reasons[0]}; and {reasons[-1]}")
    if words == {Delivery.INCREMENTAL}:
        return _incremental(telling, found, control)
    return _held_by_times(telling, found)


def _held_by_size(telling: Sequence[Measured]) -> DeliveryFinding | None:
    """What shows, without any control, that something hands on whole buffers; None if nothing does."""
    stuck = [one for one in telling if one.metrics.sticky and one.metrics.whole < WHOLE_SHARE]
    slow = [
        one
        for one in stuck
        if one.metrics.gap_between_bursts >= BURST_GAP and one.metrics.tokens >= BURST * one.metrics.bursts
    ]
    if len(slow) < max(SAMPLES, len(telling)):
        return None
    reason = (
        f"{numbers_of(slow[0].pattern)}, and so in {samples_in_words(slow)}: bursts of whole buffers that end inside "
        "events, which no model writes"
    )
    return DeliveryFinding(Delivery.COALESCED, Confidence.LIKELY, reason)


def _incremental(
    telling: Sequence[Measured], found: Sequence[tuple[Delivery, str]], control: Sequence[Measured]
) -> DeliveryFinding:
    """What bursts that lie apart prove: everything with a control that is alike, most of it without."""
    shown = [reason for delivery, reason in found if delivery is Delivery.INCREMENTAL]
    able = [one for one in telling if one.metrics.tokens >= FEW and one.metrics.total >= LEAST_TOTAL]
    reason = f"{shown[0]}, in {len(shown)} of {samples_in_words(telling)}"
    if len(shown) < MOST_OF_THEM * len(able):
        other = next(why for delivery, why in found if delivery is Delivery.UNPROVEN)
        return _cannot_tell(
            f"only {len(shown)} of {samples_in_words(telling)} shows enough bursts that lie apart; another: {other}"
        )
    doubt = doubt_of(telling, control) if control else _replay_possible(telling)
    if doubt:
        return _cannot_tell(f"{numbers_of(telling[0].pattern)}, one after another, but {doubt}")
    if not control:
        caveat = "a constant delay, a lag of one token, or a replay of what was held leaves no sign"
        return DeliveryFinding(Delivery.INCREMENTAL, Confidence.LIKELY, f"{reason}; {caveat}")
    late, lengths = lateness(telling, control), other_lengths(telling, control)
    when = f"the first token comes {abs(late):.2f} s {'later' if late >= 0 else 'earlier'} than from the model's own"
    alike = len(shown) == len(telling) >= SAMPLES and len(control) >= SAMPLES
    sure = alike and not lengths and late <= SHORT_HOLD + noise(control)
    words = f"{reason}; {when}; a lag of one token leaves no sign{f'; {lengths}' if lengths else ''}"
    return DeliveryFinding(Delivery.INCREMENTAL, Confidence.CERTAIN if sure else Confidence.LIKELY, words)


def _replay_possible(telling: Sequence[Measured]) -> str:
    """Whether the first token may have waited for the whole answer; empty if it came too soon for that.

    Who holds all and replays it no slower than the model wrote it takes no longer for that than it held it.
    """
    first, span = median(one.pattern.first for one in telling), median(one.pattern.span for one in telling)
    if first <= span:
        return ""
    return (
        f"the first came after {first:.2f} s and all others within {span:.2f} s: a model that thinks first, "
        "or a path that holds the answer and replays it"
    )


def _held_by_times(telling: Sequence[Measured], found: Sequence[tuple[Delivery, str]]) -> DeliveryFinding:
    """What a batch or bursts in all samples show, without a control that settles it."""
    in_bursts = [one for one in telling if in_even_bursts(one.pattern)]
    batched = [reason for delivery, reason in found if delivery is Delivery.BATCHED]
    # Answers that are written at different paces show together what no single one does.
    varying = vary([burst for one in in_bursts for burst in one.pattern.bursts[:-1]])
    if in_bursts and varying and not batched:
        return _all_or_none(telling, [f"{numbers_of(one.pattern)}: {BURSTS_OF_A_TIMER}" for one in in_bursts])
    if batched:
        return _all_or_none(telling, batched, batch=True)
    return _cannot_tell(next(why for delivery, why in found if delivery is Delivery.UNPROVEN) + _extras(telling))


def _all_or_none(telling: Sequence[Measured], reasons: Sequence[str], *, batch: bool = False) -> DeliveryFinding:
    # A sample that the probe itself was late to read speaks neither for a batch nor against it.
    able = [one for one in telling if not is_disturbed(one.pattern)]
    if len(reasons) < max(SAMPLES, len(able)):
        return _cannot_tell(f"{reasons[0]}, but only {len(reasons)} of {samples_in_words(telling)} shows it")
    word = Delivery.BATCHED if batch else Delivery.COALESCED
    other = "a model that answers in one piece" if batch else "a model that writes uneven amounts in even steps"
    grown = _growing(telling) if batch else ""
    reason = f"{reasons[0]}, and so in {samples_in_words(able)}{grown}{_extras(telling)}; {other} looks the same"
    return DeliveryFinding(word, Confidence.LIKELY, reason)


def _cannot_tell(reason: str) -> DeliveryFinding:
    return DeliveryFinding(Delivery.UNPROVEN, Confidence.CANNOT_TELL, reason)


def _growing(telling: Sequence[Measured]) -> str:
    """Whether longer answers have a later first token, which a buffer does and a slow start does not."""
    short = min(telling, key=lambda one: one.metrics.tokens).metrics
    long = max(telling, key=lambda one: one.metrics.tokens).metrics
    if long.tokens < 1.5 * short.tokens:
        return ""
    if short.first_token is None or long.first_token is None or long.first_token < 1.25 * short.first_token:
        return ""
    return (
        f"; the first token of {short.tokens} came after {short.first_token:.2f} s "
        f"and that of {long.tokens} after {long.first_token:.2f} s"
    )


def _extras(telling: Sequence[Measured]) -> str:
    """Sizes and grids that most samples share."""
    parts = []
    sticky = [one.metrics.sticky for one in telling if one.metrics.sticky]
    if 2 * len(sticky) > len(telling):
        parts.append(f"bursts stick to {min(sticky):,} bytes")
    grids = [one.metrics.grid for one in telling if one.metrics.grid]
    if 2 * len(grids) > len(telling):
        parts.append(f"bursts begin on a grid of {min(grids) * 1e3:.0f} ms")
    return "".join(f"; {part}" for part in parts)
