"""What the path does beside its timeouts: cuts, errors, leaving, retries, headers, heartbeats. Pure.

Warning: an answer is yes or no only where the exchanges show it; whatever a timeout, a busy probe or a lost exchange
may have brought about as well is "cannot tell".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from lab.judge.causes import WELL_BEFORE, lost, well_before
from lab.judge.endings import VISIBLE
from lab.judge.exchanged import Exchanged
from lab.judge.rules import ALWAYS_SOON, LEAST_LEAD, generations, lead, lead_in_words, went_on
from lab.measure.clusters import tolerance
from lab.measure.findings import Effect, Found, Holds, TimeoutFound
from lab.measure.streams import Stream
from lab.measure.tally import HIDDEN_BELOW
from lab.measure.timeouts import Timeouts
from lab.plan import FaultKind
from lab.suite.exchange import Leaving
from lab.vocabulary import Ending, Requirement, Watched

_BEFORE_TIMEOUT = 0.3


def effects_of(made: Sequence[Exchanged], streams: Sequence[Stream], timeouts: Timeouts) -> tuple[Effect, ...]:
    """Every effect, in the order of the reports."""
    return (
        *_cuts(made),
        *_errors(made),
        *(_leaving(made, leaving, timeouts) for leaving in Leaving),
        _retries(made),
        _early_headers(made),
        _first_byte_is(timeouts),
        _heartbeats(streams, timeouts, Watched.IDLE, "heartbeats-reset-the-idle-timeout", Watched.IDLE),
        _heartbeats(
            streams, timeouts, Watched.FIRST_TOKEN, "heartbeats-hold-off-the-first-token-timeout", Watched.FIRST_TOKEN
        ),
        _data_resets(streams, timeouts),
    )


def _settling(made: Sequence[Exchanged], requirement: Requirement) -> list[Exchanged]:
    return [each for each in made if requirement in each.exchange.requirements]


def _cuts(made: Sequence[Exchanged]) -> Iterable[Effect]:
    for kind, words in ((FaultKind.FIN, "FIN"), (FaultKind.RST, "RST")):
        struck = [each for each in _settling(made, Requirement.SHOWS_A_CUT_AS_A_CUT) if each.reading.fault is kind]
        for stream, what in ((True, "stream"), (False, "batch reply")):
            told = [each for each in struck if each.exchange.stream is stream]
            shown = [each for each in told if each.verdict.ending in VISIBLE]
            endings = ", ".join(dict.fromkeys(f"{each.verdict.ending}" for each in told))
            sentence = f"a {what} that the model cut by {words} was visible as such in {len(shown)} of {len(told)}"
            yield Effect(f"{kind}-visible-{what.partition(' ')[0]}", _all(told, shown), f"{sentence} ({endings})")
        dead = [each for each in struck if well_before(each.reading)]
        whole = [each for each in dead if not set(lost(each.reading)) & set(well_before(each.reading))]
        sentence = f"of the tokens written {WELL_BEFORE:g} s or more before a {words}, {_came(struck, early=True)} came"
        if any(len(well_before(each.reading)) < len(_numbers(each)) for each in struck):
            sentence += f"; of those written after that, {_came(struck, early=False)}"
        yield Effect(f"{kind}-tokens-arrive", _all(dead, whole), sentence)


def _numbers(each: Exchanged) -> list[int]:
    """Of the tokens that the model wrote."""
    ledger = each.evidence.ledger
    return [] if ledger is None else [token.number for token in ledger.tokens]


def _came(struck: Sequence[Exchanged], *, early: bool) -> str:
    """How many came, of how many that were written well before the death, or after that."""
    came = written = 0
    for each in struck:
        before, missing = set(well_before(each.reading)), set(lost(each.reading))
        asked = [number for number in _numbers(each) if (number in before) is early]
        written += len(asked)
        came += sum(number not in missing for number in asked)
    return f"{came} of {written}"


def _all(asked: Sequence[Exchanged], held: Sequence[Exchanged]) -> Holds:
    if not asked:
        return Holds.UNKNOWN
    return Holds.YES if len(held) == len(asked) else Holds.NO


def _errors(made: Sequence[Exchanged]) -> Iterable[Effect]:
    for each in _settling(made, Requirement.PASSES_ERRORS_ON):
        fault = each.reading.fault
        wanted = Ending.MODEL_ERROR_IN_STREAM if fault is FaultKind.ERROR else Ending.MODEL_ERROR_STATUS
        trace, ending = each.evidence.trace, each.verdict.ending
        answer = Holds.UNKNOWN if fault is None else _yes(ending is wanted)
        status = "no status" if trace.status is None else f"status {trace.status}"
        planned = each.exchange.plan.fault
        status_of = planned.at if planned is not None and planned.kind is FaultKind.STATUS else None
        what = "an error event amid a stream" if status_of is None else f"an error {status_of}"
        sentence = f"{what} came as {ending} with {status}"
        if fault is FaultKind.STATUS:
            retry = trace.header("retry-after")
            sentence += f", Retry-After {retry}" if retry else ", Retry-After lost"
        yield Effect(f"{each.exchange.name}-passes", answer, sentence)


def _yes(holds: bool) -> Holds:
    return Holds.YES if holds else Holds.NO


_LEFT: Mapping[Leaving, tuple[str, Watched]] = {
    Leaving.AMID_THE_STREAM: ("a stream", Watched.TOTAL),
    Leaving.BEFORE_THE_FIRST_TOKEN: ("a stream without a byte yet", Watched.FIRST_BYTE),
    Leaving.DURING_A_BATCH_REPLY: ("a batch reply", Watched.BATCH_REPLY),
}
"""What a client leaves, in words, and the timeout that may end it just then."""


def ended_anyway(each: Exchanged, timeouts: Timeouts) -> TimeoutFound | None:
    """The timeout that may have told the model server what its client's leaving should; None without."""
    leaving, ledger = each.exchange.leaving, each.evidence.ledger
    if leaving is None or ledger is None or ledger.client_left is None:
        return None
    _, watched = _LEFT[leaving]
    found = timeouts.of(watched)
    struck = found.least is not None and ledger.client_left - ledger.started >= found.least - _BEFORE_TIMEOUT
    return found if struck else None


def _leaving(made: Sequence[Exchanged], leaving: Leaving, timeouts: Timeouts) -> Effect:
    title = f"leaving-stops-the-model-{leaving}"
    what, _ = _LEFT[leaving]
    each = next((each for each in made if each.exchange.leaving is leaving), None)
    after = None if each is None else went_on(each)
    if each is None or each.evidence.ledger is None or after is None:
        return Effect(title, Holds.UNKNOWN, f"the probe could not leave {what}, or nobody saw how that ended")
    ledger = each.evidence.ledger
    if ledger.client_left is None:
        sentence = f"the model went on for {after:.1f} s after the client had left {what}, to its end"
    else:
        sentence = f"the model server saw the client leave {what} after {after:.2f} s"
        timeout = ended_anyway(each, timeouts)
        if timeout is not None:
            sentence += f", which may be the timeout {timeout.when}"
            return Effect(title, Holds.UNKNOWN, sentence, round(after, 3))
    return Effect(title, _yes(after <= ALWAYS_SOON), sentence, round(after, 3))


def _retries(made: Sequence[Exchanged]) -> Effect:
    twice = [each for each in made if generations(each.evidence.ledger) > 1]
    known = sum(each.evidence.ledger is not None for each in made)
    if not known:
        return Effect("generates-once", Holds.UNKNOWN, "no request is known to the ledger")
    if not twice:
        return Effect("generates-once", Holds.YES, f"each of {known} requests was generated once")
    most = max(generations(each.evidence.ledger) for each in twice)
    names = ", ".join(sorted({each.exchange.name.rstrip("-0123456789") for each in twice}))
    sentence = f"{len(twice)} of {known} requests were generated more than once, up to {most} times: {names}"
    return Effect("generates-once", Holds.NO, sentence, most)


def _early_headers(made: Sequence[Exchanged]) -> Effect:
    known = [lead(each) for each in _settling(made, Requirement.SENDS_HEADERS_AT_ONCE)]
    leads = [each for each in known if each is not None]
    name = "headers-come-before-the-first-token"
    if not leads:
        return Effect(name, Holds.UNKNOWN, "no exchange shows when early headers come")
    least = min(leads)
    words = f"headers that the model sent early came {lead_in_words(least)} the first token left"
    return Effect(name, _yes(least > LEAST_LEAD), words, least)


def _first_byte_is(timeouts: Timeouts) -> Effect:
    """Whether the timeout on the first byte is content with headers."""
    name = "headers-satisfy-the-first-byte-timeout"
    first, token, idle = (timeouts.of(each) for each in (Watched.FIRST_BYTE, Watched.FIRST_TOKEN, Watched.IDLE))
    if first.found is not Found.TIMEOUT or first.value is None:
        return Effect(name, Holds.UNKNOWN, "there is no timeout on the first byte that early headers could satisfy")
    if token.proven > first.value + tolerance(first.value):
        return Effect(name, Holds.YES, f"with early headers {token.proven:.1f} s were survived")
    if token.value is None:
        return Effect(name, Holds.UNKNOWN, "the streams with early headers do not tell")
    same_as_idle = idle.value is not None and abs(idle.value - token.value) <= tolerance(token.value)
    if abs(token.value - first.value) <= tolerance(first.value) and not same_as_idle:
        return Effect(name, Holds.NO, f"a stream with early headers ended {token.when} as one without")
    return Effect(
        name,
        Holds.UNKNOWN,
        f"after early headers a stream ended {token.when}, as an idle timeout would end it",
    )


def _heartbeats(streams: Sequence[Stream], timeouts: Timeouts, watched: Watched, name: str, timeout: Watched) -> Effect:
    found = timeouts.of(timeout)
    if found.found is not Found.TIMEOUT or found.value is None:
        return Effect(name, Holds.UNKNOWN, "there is no such timeout that heartbeats could reset")
    limit = found.value + tolerance(found.value)
    beating = [stream for stream in streams if stream.beating and stream.watched is watched and not stream.refused]
    beyond = [stream for stream in beating if max(stream.survived, stream.waited) > limit]
    if beyond:
        longest = max(max(stream.survived, stream.waited) for stream in beyond)
        return Effect(name, Holds.YES, f"with heartbeats {longest:.1f} s without a token were survived", longest)
    # A timeout on the whole ends them too, heartbeats or not.
    whole = timeouts.of(Watched.TOTAL).value or inf
    at_timeout = [
        stream
        for stream in beating
        if stream.died and abs(stream.waited - found.value) <= HIDDEN_BELOW and stream.at < whole - HIDDEN_BELOW
    ]
    if 2 * len(at_timeout) > len(beating) and len(at_timeout) > 1:
        sentence = f"{len(at_timeout)} of {len(beating)} streams ended {found.when} in spite of heartbeats"
        return Effect(name, Holds.NO, sentence)
    return Effect(name, Holds.UNKNOWN, "the streams with heartbeats ended for other reasons before they could tell")


def _data_resets(streams: Sequence[Stream], timeouts: Timeouts) -> Effect:
    name, idle = "tokens-reset-the-idle-timeout", timeouts.of(Watched.IDLE)
    if idle.found is not Found.TIMEOUT or idle.value is None:
        return Effect(name, Holds.UNKNOWN, "there is no idle timeout that tokens could reset")
    longest = max(
        (stream.survived or stream.waited for stream in streams if stream.watched is Watched.TOTAL), default=0.0
    )
    beyond = longest > idle.value + tolerance(idle.value)
    return Effect(name, Holds.YES if beyond else Holds.UNKNOWN, f"a lively stream lived for {longest:.1f} s", longest)
