"""The problems that follow from the findings, which durations were proven, and the verdict in one paragraph.

Only the audited route can fail an audit. What is wrong on the routes behind it is a warning, for it explains the
failure or does not reach the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.audit.conclude.confidence import Confidence, Problem, Severity
from lab.audit.conclude.ending import ending_finding, survived
from lab.audit.conclude.hops import HopClue
from lab.audit.conclude.metrics import Measured
from lab.audit.conclude.remedies import remedy_for
from lab.audit.conclude.routes import Added, GroupFinding, outward
from lab.audit.conclude.terminations import SOONEST_TIMEOUT, TimeoutGuess
from lab.endpoint.allowance import ignores_limit
from lab.endpoint.samples import DIRECT
from lab.evidence import TransportEnd
from lab.judge.endings import OWN_ENDS, WHOLE, Reading
from lab.products import PRODUCTS
from lab.reports.phrases import plural
from lab.vocabulary import Delivery, Ending, Trouble

_HELD = frozenset({Delivery.BATCHED, Delivery.COALESCED})
_MODELS = frozenset({Ending.MODEL_ERROR_STATUS, Ending.MODEL_ERROR_IN_STREAM})
_TIMED_OUT = frozenset({408, 504, 524})
"""Statuses by which a proxy says that it waited for too long; 524 is Cloudflare's."""

_NO_TIMEOUT = frozenset({500, 501})
"""Statuses that no proxy sends for having waited."""

_NO_LIMIT = (
    "Set the limit where the model is served. The wire format's newest field was sent; some servers know only an "
    "older one, such as max_tokens for max_completion_tokens."
)

_COMPARE = "Compare with what the model's own address sends (--direct URL)."
_COMPARED = "Compare the routes below: what the first from the model outward shows so, it does."
_ENDING_WORDS = {
    Ending.MODEL_ERROR_IN_STREAM: "Look into the log of the model server for this error.",
    Ending.MODEL_ERROR_STATUS: "Look into the log of the model server for this error.",
    Ending.PROBE_TIMEOUT: "If answers take longer than that, raise --longest; else look for the hop that stalls.",
    Ending.WRONG_REPLY: _COMPARE,
    Ending.MALFORMED: _COMPARE,
    Ending.CORRUPT: _COMPARE,
    Ending.FORGED_COMPLETE: _COMPARE,
}

_ENDING_REMEDIES = {
    Ending.SILENTLY_TRUNCATED: Trouble.HIDDEN_CUT,
    Ending.CUT: Trouble.TIMEOUT,
    Ending.PROXY_ERROR_STATUS: Trouble.TIMEOUT,
}


@dataclass(frozen=True)
class Proven:
    """Which durations the audited route was seen to survive, in seconds: only what a token came after counts.

    Args:
        total: the latest that a token came, after the request.
        silence: the longest time without a byte after which a token came.
        longest: the longest answer to expect; None if nobody said.
        enough: whether tokens came for as long as that; None if nobody said.
        sentence: the same in words.
    """

    total: float
    silence: float
    longest: float | None
    enough: bool | None
    sentence: str


def proven_by(audited: Sequence[Reading], longest: float | None) -> Proven:
    """The latest token and the longest silence before a token that the samples of one route show."""
    lived = [survived(reading) for reading in audited]
    total = max((each for each, _ in lived), default=0.0)
    silence = max((each for _, each in lived), default=0.0)
    enough = None if longest is None else total >= longest
    if not total:
        return Proven(total, silence, longest, enough, "no answer brought a token, so no duration is proven")
    sentence = f"tokens came until {total:.1f} s after the request, and after silences of up to {silence:.1f} s"
    if longest is not None:
        rest = "the whole of it" if enough else f"nothing beyond {total:.1f} s"
        quiet = "" if silence >= longest else f", and no silence beyond {silence:.1f} s, such as a batch reply makes"
        sentence += f"; of the longest answer expected, {longest:g} s, {rest} is proven{quiet}"
    return Proven(total, silence, longest, enough, sentence)


def problems_of(
    groups: Sequence[GroupFinding],
    timeouts: Sequence[TimeoutGuess],
    clues: Sequence[HopClue],
    anomalies: Sequence[str],
    culprit: Added | None,
    proven: Proven,
    measured: Sequence[Measured],
    replies: Sequence[Problem] = (),
) -> tuple[Problem, ...]:
    """Everything that is wrong, failures first; `replies` is what the replies of the audited route show themselves."""
    if not groups:
        return ()
    audited = groups[0].route
    routes = list(dict.fromkeys(group.route for group in groups))
    timed_out = frozenset(timeout.route for timeout in timeouts if timeout.cause is not None)
    scene = _Scene(audited, clues, culprit, timed_out, alone=len(routes) == 1)
    found = [
        *(
            problem
            for route in routes
            for problem in _of_route([g for g in groups if g.route == route], scene, measured)
        ),
        *(_of_timeout(timeout, scene) for timeout in timeouts if timeout.cause is not None),
        *_of_unasked_content_codings(measured, audited),
        *_of_own_leaving(measured, scene),
        *replies,
        *(Problem(Severity.WARNING, audited, anomaly, "") for anomaly in anomalies),
    ]
    if proven.enough is False:
        remedy = "Ask for a longer answer (--max-tokens), or audit with --active, which needs no long generation."
        found.append(Problem(Severity.WARNING, audited, proven.sentence, remedy))
    failures = [problem for problem in found if problem.severity is Severity.FAILURE]
    return tuple(dict.fromkeys([*failures, *(problem for problem in found if problem not in failures)]))


@dataclass(frozen=True)
class _Scene:
    """What a remedy depends on beside the finding.

    `timed_out` are the routes on which terminations look like a timeout's; `alone` says that no other route was
    measured that could tell the hop.
    """

    audited: str
    clues: Sequence[HopClue]
    culprit: Added | None
    timed_out: frozenset[str]
    alone: bool

    def severity(self, route: str) -> Severity:
        return Severity.FAILURE if route == self.audited else Severity.WARNING

    def remedy(self, trouble: Trouble, route: str, guess: str = "") -> str:
        """For what is wrong on a route; the guess is a product that only a rhythm speaks for."""
        culprit = self.culprit.route if self.culprit else ""
        products = _products(self.clues, culprit or route)
        # Where a product has named itself, a rhythm says nothing against it.
        return remedy_for(trouble, products, culprit=culprit, find=self.alone, guess="" if products else guess)


def _of_route(groups: Sequence[GroupFinding], scene: _Scene, measured: Sequence[Measured]) -> Iterable[Problem]:
    route = groups[0].route
    severity = scene.severity(route)
    for delivery in dict.fromkeys(group.delivery.delivery for group in groups):
        alike = [group for group in groups if group.delivery.delivery is delivery]
        held = [group for group in alike if group.stream]
        if held and delivery in _HELD:
            yield _of_holding(held, scene, measured)
        silent = [group for group in alike if not group.broken]
        if silent and severity is Severity.FAILURE and delivery is Delivery.NONE:
            answers = plural(sum(group.samples for group in silent), "answer")
            sentence = f"no text came in any of {answers}, so nothing is known of delivery"
            yield Problem(severity, route, sentence, "Check the model's name and --max-tokens.", asked(silent))
    for ending in dict.fromkeys(each.example.ending for group in groups for each in group.endings):
        if ending is not None and ending not in WHOLE:
            yield _of_ending(groups, ending, scene)


def _of_holding(held: Sequence[GroupFinding], scene: _Scene, measured: Sequence[Measured]) -> Problem:
    first = held[0]
    by = f", and {scene.culprit.route} is the first route from the model outward that does" if scene.culprit else ""
    alike = ", and alike in the other settings" if len(held) > 1 else ""
    words = f"tokens came {first.delivery.delivery} ({first.delivery.confidence})"
    sentence = f"{words}{by}: {first.delivery.reason}{alike}"
    coded = all(group.accept_encoding for group in held)
    trouble = Trouble.COMPRESSION if coded else Trouble.HOLDING
    remedy = scene.remedy(trouble, first.route, "" if coded else _burst_maker(held, measured))
    return Problem(scene.severity(first.route), first.route, sentence, remedy, asked(held))


def _of_ending(groups: Sequence[GroupFinding], ending: Ending, scene: _Scene) -> Problem:
    route = groups[0].route
    found = [(group, each) for group in groups for each in group.endings if each.example.ending is ending]
    count, samples = sum(each.count for _, each in found), sum(group.samples for group, _ in found)
    severity, example = scene.severity(route), found[0][1].example
    if ending in _MODELS and count < samples:
        severity = Severity.WARNING
    words = f"{count} of {plural(samples, 'answer')} ended {ending}"
    trouble = _ENDING_REMEDIES.get(ending)
    if trouble is Trouble.TIMEOUT and example.status not in _TIMED_OUT and route not in scene.timed_out:
        soon = example.after < SOONEST_TIMEOUT
        trouble = Trouble.FAULT if soon or example.status in _NO_TIMEOUT else Trouble.DEATH
    remedy = _ENDING_WORDS.get(ending, "") if trouble is None else scene.remedy(trouble, route)
    if remedy == _COMPARE and not scene.alone:
        remedy = _COMPARED
    sentence = f"{words} ({example.confidence}): {example.reason}"
    return Problem(severity, route, sentence, remedy, asked([group for group, _ in found]))


def _of_timeout(timeout: TimeoutGuess, scene: _Scene) -> Problem:
    remedy = scene.remedy(Trouble.TIMEOUT, timeout.route)
    return Problem(scene.severity(timeout.route), timeout.route, timeout.sentence, remedy)


def _of_own_leaving(measured: Sequence[Measured], scene: _Scene) -> Iterable[Problem]:
    """Where the audit left of its own accord, once a route: too long an answer, or a whole one without an end."""
    first = {one.metrics.route: one for one in reversed(measured) if one.sample.evidence.trace.end in OWN_ENDS}
    for one in first.values():
        route, trace = one.metrics.route, one.sample.evidence.trace
        if ignores_limit(one.sample.evidence):
            yield Problem(Severity.WARNING, route, trace.detail, _NO_LIMIT)
        elif ending_finding(one.sample.evidence).ending in WHOLE:
            sentence = (
                "the answer is whole, but its reply does not end: it stayed open until the audit left, "
                "and a client that waits for the end hangs"
            )
            remedy = "Have the server, or the hop that keeps it open, end the reply after its terminal marker."
            yield Problem(Severity.WARNING, route, sentence, remedy)
        elif trace.end is TransportEnd.LEFT:
            sentence = f"the audit left an answer of {trace.detail or 'too much'}, which is its own limit"
            remedy = "Check what makes an answer so large; an answer of some thousand tokens has some hundred KiB."
            yield Problem(scene.severity(route), route, sentence, remedy)


def _of_unasked_content_codings(measured: Sequence[Measured], audited: str) -> Iterable[Problem]:
    """Codings that nobody offered to take.

    HTTP allows any coding where no Accept-Encoding came (RFC 9110, section 12.5.3), and that the coding holds tokens
    back is for the finding on delivery to say, so it is a warning: clients that decode nothing read rubbish. Where
    codings were offered and another one comes, no client can be expected to undo it, so it is a failure.
    """
    here = [one for one in measured if one.metrics.route == audited]
    pairs = [(one.sample.setting.accept_encoding, one.metrics.content_coding) for one in here]
    for offered, coding in dict.fromkeys(pairs):
        if acceptable(offered, coding):
            continue
        if offered:
            sentence = f"replies come in the content coding {coding}, although only {offered} was offered"
            yield Problem(Severity.FAILURE, audited, sentence, "Turn compression off for this route.")
        else:
            sentence = (
                f"replies come compressed ({coding}) though no content coding was offered; HTTP allows "
                "that, and a client that undoes no content coding reads rubbish"
            )
            yield Problem(Severity.WARNING, audited, sentence, "Turn compression off for event streams.")


def acceptable(offered: str, coding: str) -> bool:
    """Whether every coding of a reply is one that `Accept-Encoding` names; with none sent, only the plain one is."""
    names = {part.partition(";")[0].strip().lower() for part in offered.split(",")}
    return all(part.strip() in names | {"", "identity"} for part in coding.split(","))


def _products(clues: Sequence[HopClue], route: str) -> list[str]:
    """What was recognised on a route and is not part of the model's own address."""
    inner = {clue.product for clue in clues if clue.route == DIRECT and route != DIRECT}
    return [clue.product for clue in clues if clue.route == route and clue.product not in inner]


def _burst_maker(held: Sequence[GroupFinding], measured: Sequence[Measured]) -> str:
    """The title of the product whose defaults make bursts as far apart as all of these; empty where none does."""
    for product in PRODUCTS.values():
        hold = product.hold
        if hold is not None and all(_made_by(hold, group, measured) for group in held):
            return product.title
    return ""


def _made_by(hold: tuple[float, float], group: GroupFinding, measured: Sequence[Measured]) -> bool:
    least, most = hold
    alike = [
        least <= one.metrics.gap_between_bursts <= most
        for one in measured
        if (one.metrics.route, one.metrics.http, one.sample.setting.accept_encoding)
        == (group.route, group.http, group.accept_encoding)
    ]
    return group.delivery.delivery is Delivery.COALESCED and 2 * sum(alike) > len(alike)


def verdict_of(
    groups: Sequence[GroupFinding],
    timeouts: Sequence[TimeoutGuess],
    culprit: Added | None,
    proven: Proven,
    problems: Sequence[Problem],
) -> str:
    """Everything that matters, in one paragraph."""
    if not groups:
        return "No sample was made, so nothing is known."
    audited = outward([group.route for group in groups])[-1]
    parts = [_delivered(group) for group in groups if group.route == audited]
    parts += [_ended([group for group in groups if group.route == audited])]
    parts += [timeout.sentence for timeout in timeouts if timeout.route == audited]
    if culprit is not None:
        parts.append(f"what makes it worse is {culprit.route}: {culprit.sentence}")
    parts.append(proven.sentence)
    failures = sum(problem.severity is Severity.FAILURE for problem in problems)
    parts.append(_sum(failures, len(problems) - failures))
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)


def asked(groups: Sequence[GroupFinding]) -> str:
    """How it was asked, in words."""
    offered: dict[str, set[bool]] = {}
    for group in groups:
        offered.setdefault(f"HTTP/{group.http}{'' if group.stream else ' batch'}", set()).add(
            bool(group.accept_encoding)
        )
    coding = {
        (False,): "",
        (True,): " with a content coding offered",
        (False, True): " with and without a content coding offered",
    }
    return " and ".join(f"{words}{coding[tuple(sorted(which))]}" for words, which in offered.items())


def _delivered(group: GroupFinding) -> str:
    finding = group.delivery
    if finding.confidence is Confidence.CANNOT_TELL:
        return f"{group.route} ({asked([group])}): nobody can tell how tokens are delivered, because {finding.reason}"
    return f"{group.route} ({asked([group])}): tokens come {finding.delivery} ({finding.confidence}): {finding.reason}"


def _ended(groups: Sequence[GroupFinding]) -> str:
    counts: dict[str, int] = {}
    for group in groups:
        for each in group.endings:
            word = each.example.ending.value if each.example.ending else "cannot tell how"
            counts[word] = counts.get(word, 0) + each.count
    return "endings: " + ", ".join(f"{count} {word}" for word, count in counts.items())


def _sum(failures: int, warnings: int) -> str:
    if not failures and not warnings:
        return "nothing is known to be wrong"
    words = [plural(count, word) for count, word in ((failures, "failure"), (warnings, "warning")) if count]
    return " and ".join(words)
