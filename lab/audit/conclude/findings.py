"""From the samples of an audit to its conclusions: what is wrong, on which way, how sure that is, and the remedy.

Pure: nothing here waits or connects. Everything that comes out is plain data, so that it can be written as JSON
and every report made again from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.audit.conclude.compare import Ended, against_control, differences
from lab.audit.conclude.confidence import Confidence, DeliveryFinding, EndingFinding, Problem, Severity
from lab.audit.conclude.delivery import delivery_finding
from lab.audit.conclude.ending import TimeoutGuess, ending_of_reading, strangers, timeout_guess
from lab.audit.conclude.hops import HopClue, header_oddities, hop_clues
from lab.audit.conclude.metrics import Measured, Metrics, measure_metrics
from lab.audit.conclude.problems import Proven, problems_of, proven_by, verdict_of
from lab.audit.conclude.ways import Added, EndingCount, GroupFinding, added, group_finding, guilty, outward
from lab.endpoint.samples import DIRECT, Sample, Setting

__all__ = [
    "Added",
    "Conclusions",
    "Confidence",
    "DeliveryFinding",
    "EndingCount",
    "EndingFinding",
    "GroupFinding",
    "HopClue",
    "Metrics",
    "Problem",
    "Proven",
    "SampleFinding",
    "Severity",
    "TimeoutGuess",
    "conclude",
]


@dataclass(frozen=True)
class SampleFinding:
    """What one sample shows by itself: its metrics and how it ended. In the order of the samples."""

    metrics: Metrics
    ending: EndingFinding


@dataclass(frozen=True)
class Conclusions:
    """What an audit has found.

    Args:
        verdict: everything that matters, in one paragraph.
        problems: what is wrong, failures first; empty where nothing is.
        groups: what the samples of each way and setting show together, the audited way first.
        samples: what each sample shows by itself, in the order in which they were made.
        timeouts: what deaths on each way have in common.
        hops: what the headers and error pages give away.
        oddities: what headers on the audited way say against streaming.
        added: each way compared with the one behind it, from the model outward.
        guilty: the name of the way that makes it worse; empty where none is known to.
        proven: which durations were survived.
    """

    verdict: str
    problems: tuple[Problem, ...]
    groups: tuple[GroupFinding, ...]
    samples: tuple[SampleFinding, ...]
    timeouts: tuple[TimeoutGuess, ...]
    hops: tuple[HopClue, ...]
    oddities: tuple[str, ...]
    added: tuple[Added, ...]
    guilty: str
    proven: Proven

    @property
    def failed(self) -> bool:
        """Whether the audited way does what a streaming path must not do; exit code 1."""
        return any(problem.severity is Severity.FAILURE for problem in self.problems)


def conclude(samples: Sequence[Sample], *, longest: float | None) -> Conclusions:
    """Draw the conclusions from all samples of an audit.

    Args:
        samples: in the order in which they were made; their `Evidence` needs neither plan nor ledger.
        longest: the longest answer to expect, in seconds; None if nobody said.
    """
    measured = [measure_metrics(sample) for sample in samples]
    readings = [strangers(sample.evidence) for sample in samples]
    ended = [Ended(one, reading, ending_of_reading(reading)) for one, reading in zip(measured, readings, strict=True)]
    settings = [(places, _control(places, measured)) for places in _settings(measured)]
    ways = list(reversed(outward([sample.setting.way.name for sample in samples])))
    by_way = {way: [place for place, sample in enumerate(samples) if _way(sample) == way] for way in ways}
    endings = _endings(ended, by_way)
    groups = _groups(settings, measured, endings)
    guesses = (timeout_guess(way, [readings[place] for place in places]) for way, places in by_way.items())
    timeouts = tuple(guess for guess in guesses if guess is not None)
    clues = tuple(dict.fromkeys(clue for one in samples for clue in hop_clues(_way(one), one.evidence.trace)))
    audited = [readings[place] for place in by_way[ways[0]]] if ways else []
    oddities = _oddities(ended, by_way, ways[0] if ways else "", timeouts)
    steps = added(groups)
    blamed = guilty(steps)
    proven = proven_by(audited, longest)
    problems = problems_of(groups, timeouts, clues, oddities, blamed, proven, measured)
    return Conclusions(
        verdict=verdict_of(groups, timeouts, blamed, proven, problems),
        problems=problems,
        groups=groups,
        samples=tuple(SampleFinding(one.metrics, ending) for one, ending in zip(measured, endings, strict=True)),
        timeouts=timeouts,
        hops=clues,
        oddities=oddities,
        added=steps,
        guilty=blamed.way if blamed else "",
        proven=proven,
    )


def _endings(ended: Sequence[Ended], by_way: Mapping[str, Sequence[int]]) -> list[EndingFinding]:
    """How each answer ended, beside all from the model's own address: how they were asked does not change their end."""
    findings = [one.finding for one in ended]
    direct = [ended[place] for place in by_way.get(DIRECT, ())]
    for way, places in by_way.items():
        if way != DIRECT:
            found = against_control([ended[place] for place in places], direct)
            for place, finding in zip(places, found, strict=True):
                findings[place] = finding
    return findings


def _oddities(
    ended: Sequence[Ended], by_way: Mapping[str, Sequence[int]], audited: str, timeouts: Sequence[TimeoutGuess]
) -> tuple[str, ...]:
    """What the audited way does to the replies that no verdict on delivery or ending covers."""
    here = [ended[place] for place in by_way.get(audited, ())]
    direct = [ended[place] for place in by_way.get(DIRECT, ())] if audited != DIRECT else []
    deaths = [timeout.sentence for timeout in timeouts if timeout.way == audited and timeout.cause is None]
    odd = (*header_oddities([one.reading.trace for one in here]), *differences(here, direct), *deaths)
    return tuple(dict.fromkeys(odd))


def _settings(measured: Sequence[Measured]) -> list[list[int]]:
    """The places of the samples of each way and setting; how many were asked at once makes no setting of its own."""
    members: dict[tuple[object, ...], list[int]] = {}
    for place, one in enumerate(measured):
        members.setdefault(_key(one.sample.setting), []).append(place)
    return list(members.values())


def _groups(
    settings: Sequence[tuple[list[int], list[int]]], measured: Sequence[Measured], endings: Sequence[EndingFinding]
) -> tuple[GroupFinding, ...]:
    """One finding for each way and setting."""
    found = []
    for places, control in settings:
        group = [measured[place] for place in places]
        delivery = delivery_finding(group, [measured[place] for place in control])
        found.append(group_finding(group, delivery, [endings[place] for place in places]))
    order = list(reversed(outward([group.way for group in found])))
    return tuple(sorted(found, key=lambda group: order.index(group.way)))


def _control(places: Sequence[int], measured: Sequence[Measured]) -> list[int]:
    """The samples of the model's own address that were asked alike, or failing these, of any streams of it."""
    setting = measured[places[0]].sample.setting
    if setting.way.name == DIRECT:
        return []
    direct = [
        place
        for place, one in enumerate(measured)
        if _way(one.sample) == DIRECT and one.metrics.stream and one.metrics.tokens
    ]
    alike = [place for place in direct if _key(measured[place].sample.setting)[1:] == _key(setting)[1:]]
    return alike or direct


def _key(setting: Setting) -> tuple[object, ...]:
    return setting.way.name, setting.http, setting.accept_encoding, setting.stream


def _way(sample: Sample) -> str:
    return sample.setting.way.name
