"""The figures of a comparison in words, one row a figure, for the terminal and for the page alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lab.compare.advice import tell
from lab.compare.figures import ALIKE, PER, LevelFigures, WayFigures
from lab.compare.intervals import FEWEST, NEVER, NEVER_WORD, Interval
from lab.compare.results import Comparison

LEGEND = (
    "Medians of total and first text count every answer, a lost one as one that never comes; bytes, lengths and pairs "
    f"are of the whole answers. 95 % confidence intervals stand where there are enough for one (from {FEWEST} on). A "
    "connection is held from the request to the end, lost answers included."
)


def figure_rows(level: LevelFigures) -> list[tuple[str, str, str]]:
    """Name, streamed, batch."""
    unit = level.unit.value
    rows: tuple[tuple[str, Callable[[WayFigures], str]], ...] = (
        ("Lost", lost_words),
        ("Total", lambda way: interval_words(way.total, "{:.2f}", " s")),
        ("First text", lambda way: interval_words(way.first_text, "{:.2f}", " s")),
        ("Connection held", lambda way: interval_words(way.held, "{:.2f}", " s")),
        ("Whole answers a second", lambda way: interval_words(way.rate, "{:.2f}")),
        ("Bytes on the wire", lambda way: interval_words(way.wire_bytes, "{:,.0f}")),
        (f"Length in {unit}", lambda way: interval_words(way.length, "{:,.0f}")),
        (f"Time for {PER} {unit}", lambda way: interval_words(way.pace, "{:.2f}", " s")),
    )
    return [(name, words(level.stream), words(level.batch)) for name, words in rows]


def pair_words(level: LevelFigures) -> str:
    """How a stream's time compares with that of its own batch reply, in one sentence."""
    left_out = ""
    if level.left_out:
        left_out = f" Pairs left out, for their lengths differ by more than {ALIKE:.0%}: {level.left_out}."
    if level.broken_pairs:
        left_out += f" Pairs left out, for an answer was lost in them: {level.broken_pairs}."
    if level.slower is None:
        return f"No pair of whole answers can be compared.{left_out}"
    words = interval_words(level.slower, "{:+.1%}")
    return f"Pair by pair, length for length, a stream's time differs from its batch reply's by {words}.{left_out}"


def loss_words(levels: Sequence[LevelFigures]) -> str:
    """What was lost in all, to be read before any time; empty if nothing was."""
    ways = [[level.stream for level in levels], [level.batch for level in levels]]
    if not any(way.losses for each in ways for way in each):
        return ""
    streams, replies = (
        f"{sum(loss.count for way in each for loss in way.losses)} of {sum(way.lost.count for way in each if way.lost)}"
        for each in ways
    )
    return (
        f"Lost: {streams} streams and {replies} batch replies. A lost answer counts as the worst time, one that never "
        "comes; what survived would look faster than the path is."
    )


def what_was_done(comparison: Comparison) -> str:
    """Over which path, with what, how often."""
    times = "once" if comparison.rounds == 1 else f"{comparison.rounds} times"
    return f"{comparison.over} ({comparison.wire_format}): {comparison.generations}, each level {times} both ways."


def interval_words(interval: Interval | None, form: str, unit: str = "") -> str:
    """The median or share, and its interval if there is one."""
    if interval is None:
        return "-"
    value = NEVER_WORD if interval.value == NEVER else f"{form.format(interval.value)}{unit}"
    return f"{value} {_ends(interval, form)}".rstrip()


def _ends(interval: Interval, form: str) -> str:
    """Where the truth lies; empty where there are too few to tell."""
    if interval.low is None or interval.high is None:
        return ""
    low, high = (NEVER_WORD if end == NEVER else form.format(end) for end in (interval.low, interval.high))
    return f"({low} to {high})" if (low, high) != (NEVER_WORD, NEVER_WORD) else ""


def lost_words(way: WayFigures) -> str:
    """The share that was lost, and to what."""
    if way.lost is None:
        return "-"
    count = sum(loss.count for loss in way.losses)
    share = _ends(way.lost, "{:.0%}")
    lost = f"{count} of {way.lost.count} {share}".rstrip()
    return f"{lost}: {tell(way.losses)}" if way.losses else lost
