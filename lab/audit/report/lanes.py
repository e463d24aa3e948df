"""The picture of one sample: a lane with a tick for each piece of text, where it came.

Of a foreign endpoint nobody knows when the model wrote, so there is one lane, the client's. What the eye looks
for is the shape: ticks along the whole lane, ticks in bursts, or one block at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.audit.conclude.measured import SampleResult
from lab.reports.phrases import plural, seconds
from lab.reports.scale import Scale
from lab.reports.timeline import EndMark, end_mark

LANE = 32
AXIS = 50
HEIGHT = 70
"""The places of the lane and the axis from the top, and the height of the picture, in pixels."""

_TICK = 7  # half the height of a tick
_ROOM = 1.04  # the end stands a little before the right edge
_LEAST_SPAN = 0.1


@dataclass(frozen=True)
class Lane:
    """Everything that the template draws for one sample; see `lab.reports.timeline.Timeline`."""

    title: str
    description: str
    scale: Scale
    arrived: str
    end: float
    end_mark: EndMark
    end_words: str


def scale_of(samples: Sequence[SampleResult]) -> Scale:
    """One axis for all samples, so that they can be compared by eye."""
    return Scale(max([_LEAST_SPAN, *(sample.total for sample in samples)]) * _ROOM)


def lane(sample: SampleResult, scale: Scale) -> Lane:
    """Lay one sample out."""
    places = dict.fromkeys(scale.x(time) for time in sample.arrivals)
    first = "no text came" if sample.first_token is None else f"first text after {seconds(sample.first_token)}"
    ending = "cannot tell" if sample.ending is None else sample.ending.value.replace("-", " ")
    return Lane(
        title=f"Timeline of {sample.route}, {sample.asked}",
        description=f"{plural(sample.events, 'piece')} of text in {plural(sample.reads, 'moment')}, "
        f"{first}, {ending} after {seconds(sample.total)}.",
        scale=scale,
        arrived="".join(f"M{x:g} {LANE - _TICK}v{2 * _TICK}" for x in places),
        end=scale.percent(sample.total),
        end_mark=EndMark.HIDDEN if sample.ending is None else end_mark(sample.ending),
        end_words=f"{ending}, {seconds(sample.total)}",
    )
