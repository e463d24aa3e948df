"""A path of the user's own: any endpoint, asked as the audit asks, with answers that are as alike as it can make them.

One stream and one batch reply go first, as a check that does not count: they find out whether the endpoint answers
both ways, wake a model that has to be loaded, and show whether it takes the fields that make answers alike. What
makes further requests pointless ends the comparison (`Stopped`); a batch reply that dies is no such thing, for that
is what is being measured.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lab.audit.programme import LONGEST_WAIT, MOST_TOKENS
from lab.compare.steady import extras, steady_ask
from lab.compare.turns import Ask, MakeAgain
from lab.endpoint.address import Endpoint
from lab.endpoint.allowance import ignores_limit
from lab.endpoint.asking import RunTerms, ask_endpoint
from lab.endpoint.bounds import most_in_all, size_of
from lab.endpoint.samples import Sample, Setting
from lab.endpoint.stops import TOO_LARGE, StopReason, quoted, stop_of, too_much
from lab.errors import BadInput, ExitCode
from lab.evidence import Evidence, TransportEnd
from lab.judge.endings import CLEAN_ENDS, OWN_ENDS
from lab.judge.reading import read
from lab.probe.body import BodyReader
from lab.wire import format_named
from lab.wire.events import Text

CHECKS = 2
"""Requests that are made first and do not count."""

_DISLIKED = frozenset({400, 422})
"""Statuses by which endpoints refuse a field that they do not know."""


class Stopped(Exception):
    """The comparison ends early."""

    def __init__(self, stop: StopReason) -> None:
        super().__init__(stop.problem)
        self.stop = stop


@dataclass(frozen=True)
class Cost:
    """What a comparison can cost at most.

    Args:
        requests: how many are measured.
        spare: how many more there may be: the check, and one turn again after a rate limit.
        max_tokens: the limit of each.
    """

    requests: int
    spare: int
    max_tokens: int

    def __str__(self) -> str:
        most = (self.requests + self.spare) * self.max_tokens
        return (
            f"{self.requests} requests, and up to {self.spare} to check the endpoint and after a rate limit, of at "
            f"most {self.max_tokens:,} tokens each: at most {most:,} tokens; stops early if the check is refused"
        )

    def check(self) -> None:
        """Refuse what would cost more than an audit may.

        Raises:
            BadInput: with how to lower it.
        """
        most = (self.requests + self.spare) * self.max_tokens
        if most > MOST_TOKENS:
            raise BadInput(
                f"that could cost {most:,} tokens, and {MOST_TOKENS:,} is the most that one comparison may",
                f"Lower --runs or --concurrency, or give --max-tokens {MOST_TOKENS // (self.requests + self.spare)}.",
            )


@dataclass
class TheirPath:
    """One endpoint; `notes` holds what a reader must know to read the figures.

    Args:
        endpoint: where to ask.
        terms: what holds for every request.
        model: the model's name.
        max_tokens: the limit of each answer.
        turns: how many turns there will be, for the estimate of time.
        say: takes a line of progress.
    """

    endpoint: Endpoint
    terms: RunTerms
    model: str
    max_tokens: int
    turns: int
    say: Callable[[str], None]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._made = self._kept = 0
        self._with_extras = bool(extras(self.endpoint.wire_format.name, stream=True))
        self._waited = False
        if not self.endpoint.wire_format.has_marker:
            self.notes.append("This format has no terminal marker: a clean cut looks like an end, and counts as one.")

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[Ask]:
        """Check the endpoint; gives what makes one generation over it.

        Raises:
            Stopped: the endpoint cannot be compared.
        """
        stream = await self._check(stream=True)
        batch = await self._check(stream=False)
        both = sum(sample.evidence.trace.ended - sample.evidence.trace.started for sample in (stream, batch))
        self.say(f"checked; about {max(1, round(both * self.turns / 2 / 60))} min")
        yield self._ask

    async def _ask(self, generation: int, stream: bool, at_once: int) -> Evidence:
        sample = await self._request(generation, stream, at_once)
        if (stop := stop_of(sample, first=False)) is not None:
            raise self._again(stop) or Stopped(stop)
        self._made += 1
        self._kept += size_of(sample.evidence)
        if self._kept > (most := most_in_all(self._made, self.max_tokens)):
            problem = f"the answers so far have more than {most:,} bytes, which is more than a comparison keeps"
            raise Stopped(StopReason(ExitCode.REQUIREMENT_FAILED, problem, TOO_LARGE))
        return sample.evidence

    def _again(self, stop: StopReason) -> MakeAgain | None:
        """A short rate limit is waited for once, like the audit's."""
        patience = stop.retry_after
        if patience is None or patience > LONGEST_WAIT or self._waited:
            return None
        self._waited = True
        self.say(f"{stop.problem}; waiting {patience:.0f} s as asked, once")
        return MakeAgain(patience)

    async def _check(self, *, stream: bool) -> Sample:
        sample = await self._request(0, stream, 1)
        stop = _stop_of_check(sample)
        if stop is not None and self._with_extras and sample.evidence.trace.status in _DISLIKED:
            self._with_extras = False
            again = await self._request(0, stream, 1)
            if (other := _stop_of_check(again)) is None:
                self.notes.append(
                    f"The endpoint refused {_names(self.endpoint)} ({quoted(sample.evidence.trace)}), so that answers "
                    "differ by more."
                )
            sample, stop = again, other
        if stop is None:
            return sample
        if (rest := self._again(stop)) is None:
            raise Stopped(stop)
        await asyncio.sleep(rest.wait)
        return await self._check(stream=stream)

    async def _request(self, generation: int, stream: bool, at_once: int) -> Sample:
        ask = steady_ask(
            self.endpoint.wire_format,
            self.model,
            stream=stream,
            max_tokens=self.max_tokens,
            mark=secrets.token_hex(4),
            with_extras=self._with_extras,
        )
        return await ask_endpoint(
            self.endpoint, Setting(self.endpoint.route, at_once=at_once, stream=stream), ask, self.terms
        )


def _names(endpoint: Endpoint) -> str:
    return " and ".join(f"{name!r}" for name in extras(endpoint.wire_format.name, stream=True))


def _stop_of_check(sample: Sample) -> StopReason | None:
    """Why there is nothing to compare; a batch reply that dies on the way is worth comparing."""
    trace = sample.evidence.trace
    if sample.setting.stream:
        if ignores_limit(sample.evidence):
            return StopReason(ExitCode.BAD_INPUT, trace.detail, "Give the length of its answers as --max-tokens.")
        return stop_of(sample, first=True)
    host = urlsplit(sample.setting.route.url).netloc
    if trace.end in OWN_ENDS and trace.status is None:
        problem = f"{host}: no batch reply within {trace.ended - trace.started:.0f} s, and the stream had ended"
        return StopReason(ExitCode.REQUIREMENT_FAILED, problem, "If answers take longer than that, raise --longest.")
    if trace.end is TransportEnd.LEFT:
        return too_much(host, trace)
    if trace.status == 200 and _is_stream(sample.evidence):
        problem = f"{host}: asked for a batch reply, the endpoint answers with a stream"
        return StopReason(
            ExitCode.REQUIREMENT_FAILED, problem, "There is nothing to compare: audit it with `lab audit`."
        )
    nothing = trace.status == 200 and trace.end in CLEAN_ENDS and not read(sample.evidence).recognised
    return stop_of(sample, first=nothing)


def _is_stream(evidence: Evidence) -> bool:
    """Whether a reply that should have been one document is events of the format's stream."""
    if read(evidence).recognised:
        return False
    trace = evidence.trace
    reader = BodyReader(format_named(evidence.wire_format), stream=True, coding=trace.header("content-encoding"))
    events = [event for piece in trace.body for event in reader.feed(piece.data).events]
    return any(isinstance(event, Text) for event in events)
