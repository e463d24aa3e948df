"""From the samples of an audit to its conclusions: what is wrong, on which route, how sure that is, and the remedy.

Pure: nothing here waits or connects. Everything that comes out is plain data, so that it can be written as JSON
and every report made again from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.audit.conclude.compare import Ended, against_control, differences
from lab.audit.conclude.confidence import Confidence, DeliveryFinding, EndingFinding, Problem, Severity
from lab.audit.conclude.delivery import delivery_finding
from lab.audit.conclude.ending import ending_of_reading, read_as_foreign
from lab.audit.conclude.hops import HopClue, header_anomalies, hop_clues
from lab.audit.conclude.metrics import Measured, Metrics, measure_metrics
from lab.audit.conclude.problems import Proven, problems_of, proven_by, verdict_of
from lab.audit.conclude.replies import reply_problems, unknown_headers
from lab.audit.conclude.routes import Added, EndingCount, GroupFinding, added, find_culprit, group_finding, outward
from lab.audit.conclude.terminations import TimeoutGuess, timeout_guess
from lab.endpoint.samples import DIRECT, Sample, Setting
from lab.judge.endings import Reading

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
        groups: what the samples of each route and setting show together, the audited route first.
        samples: what each sample shows by itself, in the order in which they were made.
        timeouts: what terminations on each route have in common.
        hops: what the headers and error pages give away.
        anomalies: what headers on the audited route say against streaming.
        added: each route compared with the one behind it, from the model outward.
        culprit: the name of the route that makes it worse; empty where none is known to.
        proven: which durations were survived.
        only_direct: what only the model's own address would tell, in a sentence; empty where nothing is left to ask it.
    """

    verdict: str
    problems: tuple[Problem, ...]
    groups: tuple[GroupFinding, ...]
    samples: tuple[SampleFinding, ...]
    timeouts: tuple[TimeoutGuess, ...]
    hops: tuple[HopClue, ...]
    anomalies: tuple[str, ...]
    added: tuple[Added, ...]
    culprit: str
    proven: Proven
    only_direct: str = ""

    @property
    def failed(self) -> bool:
        """Whether the audited route does what a streaming path must not do; exit code 1."""
        return any(problem.severity is Severity.FAILURE for problem in self.problems)


def conclude(samples: Sequence[Sample], *, longest: float | None) -> Conclusions:
    """Draw the conclusions from all samples of an audit.

    Args:
        samples: in the order in which they were made; their `Evidence` needs neither plan nor ledger.
        longest: the longest answer to expect, in seconds; None if nobody said.
    """
    measured = [measure_metrics(sample) for sample in samples]
    readings = [read_as_foreign(sample.evidence) for sample in samples]
    ended = [Ended(one, reading, ending_of_reading(reading)) for one, reading in zip(measured, readings, strict=True)]
    settings = [(places, _control(places, measured)) for places in _settings(measured)]
    routes = list(reversed(outward([sample.setting.route.name for sample in samples])))
    by_route = {route: [place for place, sample in enumerate(samples) if _route(sample) == route] for route in routes}
    endings = _endings(ended, by_route)
    groups = _groups(settings, measured, endings)
    timeouts = _timeouts(readings, by_route)
    clues = _clues(samples)
    audited = [readings[place] for place in by_route[routes[0]]] if routes else []
    here, direct = _beside_direct(ended, by_route, routes)
    anomalies = _anomalies(here, direct, routes[0] if routes else "", timeouts)
    steps = added(groups)
    culprit = find_culprit(steps)
    proven = proven_by(audited, longest)
    replies = [*reply_problems(here, direct)]
    problems = problems_of(groups, timeouts, clues, anomalies, culprit, proven, measured, replies)
    return Conclusions(
        verdict=verdict_of(groups, timeouts, culprit, proven, problems),
        problems=problems,
        groups=groups,
        samples=tuple(SampleFinding(one.metrics, ending) for one, ending in zip(measured, endings, strict=True)),
        timeouts=timeouts,
        hops=clues,
        anomalies=anomalies,
        added=steps,
        culprit=culprit.route if culprit else "",
        proven=proven,
        only_direct=unknown_headers(here, direct),
    )


def _clues(samples: Sequence[Sample]) -> tuple[HopClue, ...]:
    """Each product once for each route, by the first reply that gave it away; one with a version says more.

    Headers such as a time in milliseconds differ from reply to reply, and are no other product.
    """
    found: dict[tuple[str, str], HopClue] = {}
    for one in samples:
        for clue in hop_clues(_route(one), one.evidence.trace):
            known = found.get((clue.route, clue.product))
            if known is None or (clue.version and not known.version):
                found[clue.route, clue.product] = clue
    return tuple(found.values())


def _endings(ended: Sequence[Ended], by_route: Mapping[str, Sequence[int]]) -> list[EndingFinding]:
    """How each answer ended, beside all from the model's own address: how they were asked does not change their end."""
    findings = [one.finding for one in ended]
    direct = [ended[place] for place in by_route.get(DIRECT, ())]
    for route, places in by_route.items():
        if route != DIRECT:
            found = against_control([ended[place] for place in places], direct)
            for place, finding in zip(places, found, strict=True):
                findings[place] = finding
    return findings


def _timeouts(readings: Sequence[Reading], by_route: Mapping[str, Sequence[int]]) -> tuple[TimeoutGuess, ...]:
    """What terminations on each route have in common, beside what the model's own address does."""
    direct = [readings[place] for place in by_route.get(DIRECT, ())]
    guesses = (
        timeout_guess(route, [readings[place] for place in places], direct if route != DIRECT else ())
        for route, places in by_route.items()
    )
    return tuple(guess for guess in guesses if guess is not None)


def _beside_direct(
    ended: Sequence[Ended], by_route: Mapping[str, Sequence[int]], routes: Sequence[str]
) -> tuple[list[Ended], list[Ended]]:
    """The answers of the audited route, and those of the model's own address where that is another."""
    audited = routes[0] if routes else ""
    here = [ended[place] for place in by_route.get(audited, ())]
    return here, [ended[place] for place in by_route.get(DIRECT, ())] if audited != DIRECT else []


def _anomalies(
    here: Sequence[Ended], direct: Sequence[Ended], audited: str, timeouts: Sequence[TimeoutGuess]
) -> tuple[str, ...]:
    """What the audited route does to the replies that no verdict on delivery or ending covers."""
    terminations = [timeout.sentence for timeout in timeouts if timeout.route == audited and timeout.cause is None]
    found = (*header_anomalies([one.reading.trace for one in here]), *differences(here, direct), *terminations)
    return tuple(dict.fromkeys(found))


def _settings(measured: Sequence[Measured]) -> list[list[int]]:
    """The places of the samples of each route and setting; how many were asked at once makes no setting of its own."""
    members: dict[tuple[object, ...], list[int]] = {}
    for place, one in enumerate(measured):
        members.setdefault(_key(one.sample.setting), []).append(place)
    return list(members.values())


def _groups(
    settings: Sequence[tuple[list[int], list[int]]], measured: Sequence[Measured], endings: Sequence[EndingFinding]
) -> tuple[GroupFinding, ...]:
    """One finding for each route and setting."""
    found = []
    for places, control in settings:
        group = [measured[place] for place in places]
        plain = [measured[place] for place in _plain(places, measured)]
        delivery = delivery_finding(group, [measured[place] for place in control], plain)
        found.append(group_finding(group, delivery, [endings[place] for place in places]))
    order = list(reversed(outward([group.route for group in found])))
    return tuple(sorted(found, key=lambda group: order.index(group.route)))


def _control(places: Sequence[int], measured: Sequence[Measured]) -> list[int]:
    """The samples of the model's own address that were asked alike, or failing these, of any streams of it."""
    setting = measured[places[0]].sample.setting
    if setting.route.name == DIRECT:
        return []
    direct = [
        place
        for place, one in enumerate(measured)
        if _route(one.sample) == DIRECT and one.metrics.stream and one.metrics.tokens
    ]
    alike = [place for place in direct if _key(measured[place].sample.setting)[1:] == _key(setting)[1:]]
    return alike or direct


def _plain(places: Sequence[int], measured: Sequence[Measured]) -> list[int]:
    """The samples of the same route that were asked alike, but for the content coding that these offered."""
    setting = measured[places[0]].sample.setting
    if not setting.accept_encoding:
        return []
    key = _key(replace(setting, accept_encoding=""))
    return [place for place, one in enumerate(measured) if _key(one.sample.setting) == key]


def _key(setting: Setting) -> tuple[object, ...]:
    return setting.route.name, setting.http, setting.accept_encoding, setting.stream


def _route(sample: Sample) -> str:
    return sample.setting.route.name
