"""What the replies of a route do to clients beside delivery and ending.

Parts that most clients do not read, a finish reason that never comes, headers that come late.

Headers that come with the first token may be the model's own doing: only its own address, or the same route asked
otherwise, can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from lab.audit.conclude.compare import Ended
from lab.audit.conclude.confidence import Problem, Severity
from lab.judge.gaps import APART
from lab.judge.sentences import first_member_only
from lab.wire import format_named

LATE_HEADERS = 0.5
"""Seconds after the control's by which headers are late; no network takes so long."""

_MEMBERS_REMEDY = (
    "Have the application or the hop that compresses write one gzip stream for the whole reply and flush it after each "
    "event, or send event streams without a content coding. Django's GZipMiddleware makes a member of each piece under "
    "ASGI: take it off, or leave streams out."
)

_STOP_AFTER_THE_FIRST = {
    "gzip": (
        "httpx and the openai and anthropic SDKs, Chromium and curl stop after the first; requests, aiohttp and Node "
        "read all"
    ),
    "zstd": "httpx fails at the second, and so do the SDKs that use it; urllib3 and Node read all",
}
"""What clients do with bodies of several parts, measured with httpx 0.28, curl 7.88 and aiohttp 3.14."""

_FINISH_REMEDY = "Have the model server, or the gateway that rewrites its events, send the finish reason."

_HEADERS_REMEDY = (
    "Have the hop that holds the headers hand them on at once: clients and browsers that wait for them (EventSource's "
    "open event, timeouts on the first byte) see nothing until then."
)


def reply_problems(here: Sequence[Ended], direct: Sequence[Ended]) -> Iterable[Problem]:
    """What is wrong with the replies of one route.

    Args:
        here: its answers.
        direct: those of the model's own address; empty where there are none.
    """
    if not here:
        return
    route = here[0].measured.metrics.route
    yield from _members(route, here)
    yield from _no_reason(route, here)
    yield from _late_headers(route, here, direct)


def _members(route: str, here: Sequence[Ended]) -> Iterable[Problem]:
    """Bodies of several members, of which most clients read the first; one problem a coding."""
    hit = [one for one in here if one.reading.facts.lost_to_members]
    for coding in dict.fromkeys(one.measured.metrics.content_coding for one in hit):
        alike = [one for one in hit if one.measured.metrics.content_coding == coding]
        asked = [one for one in here if one.measured.metrics.content_coding == coding]
        clients = next((words for name, words in _STOP_AFTER_THE_FIRST.items() if name in coding), "some clients do")
        sentence = (
            f"{len(alike)} of {len(asked)} replies in the content coding {coding} are whole for some clients only: "
            f"{first_member_only(alike[0].reading)}; {clients}"
        )
        yield Problem(Severity.FAILURE, route, sentence, _MEMBERS_REMEDY)


def _no_reason(route: str, here: Sequence[Ended]) -> Iterable[Problem]:
    """Whole answers without a finish reason, in formats whose clients expect one."""
    whole = [one for one in here if one.whole and format_named(one.reading.evidence.wire_format).has_marker]
    without = [one for one in whole if one.reading.facts.finish is None]
    if without:
        words = "no answer had" if len(without) == len(whole) else f"{len(without)} of {len(whole)} answers lacked"
        sentence = (
            f"{words} a finish reason: a client cannot tell the token limit from an end, and strict clients refuse "
            "the answer"
        )
        yield Problem(Severity.WARNING, route, sentence, _FINISH_REMEDY)


def _late_headers(route: str, here: Sequence[Ended], direct: Sequence[Ended]) -> Iterable[Problem]:
    """Headers that come with the first token, well after those of the model's own address, or of the plain way."""
    plain = [one for one in here if not _offered(one)]
    coded = [one for one in here if _offered(one)]
    for asked, answers, control in (("", plain, direct), ("with a content coding offered ", coded, direct or plain)):
        late, own = _waits(answers), [wait for wait, _ in _pairs(control)]
        if not late or not own or len(late) < len(_pairs(answers)) or min(late) - max(own) < LATE_HEADERS:
            continue
        whose = "the model's own" if direct else "those without one"
        later = median(late) - median(own)
        sentence = f"{asked}the headers come with the first token, {later:.1f} s after {whose}"
        yield Problem(Severity.WARNING, route, sentence, _HEADERS_REMEDY)


def _offered(one: Ended) -> bool:
    return bool(one.measured.sample.setting.accept_encoding)


def unknown_headers(here: Sequence[Ended], direct: Sequence[Ended]) -> str:
    """What only the model's own address would tell of late headers; empty where there is nothing to ask."""
    late = _waits(here)
    if direct or len(late) < len(_pairs(here)) or not late or median(late) < LATE_HEADERS:
        return ""
    return (
        f"in every answer the headers came with the first token, after {median(late):.1f} s: the model may send them "
        "then, or the path may hold them back"
    )


def _waits(answers: Sequence[Ended]) -> list[float]:
    """Seconds to the headers of the answers whose headers came together with their first token."""
    return [headers for headers, token in _pairs(answers) if token - headers <= APART]


def _pairs(answers: Sequence[Ended]) -> list[tuple[float, float]]:
    """Of each stream the seconds to its headers and to its first token."""
    found = []
    for one in answers:
        trace, metrics = one.reading.trace, one.measured.metrics
        if one.reading.evidence.stream and trace.headers_at is not None and metrics.first_token is not None:
            found.append((trace.headers_at - trace.started, metrics.first_token))
    return found
