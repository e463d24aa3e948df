"""The audit's run: makes the requests of a programme and keeps a sample of each.

Samples are kept as they come, so that whoever stops the run has what was learnt so far. Secrets are in the
request's headers and nowhere else: a reply is masked before anything reads it. Redirects are not followed,
certificates are verified, and every wait and every body has a limit. What was stated beforehand of tokens and of time
holds whoever answers: a round that might go beyond it is not made.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from urllib.parse import urlsplit

from lab.audit.programme import LONGEST_WAIT, PlannedRequest, Programme, Round
from lab.endpoint.allowance import ignores_limit, most_of, tokens_of
from lab.endpoint.asking import RunTerms, ask_endpoint
from lab.endpoint.bounds import most_in_all, size_of
from lab.endpoint.keys import Keys
from lab.endpoint.samples import PATH, Sample, Setting
from lab.endpoint.stops import StopReason, stop_of
from lab.endpoint.versions import unspoken
from lab.errors import ExitCode
from lab.evidence import HttpVersion
from lab.precedence import precedence
from lab.wire.format import Ask

PROMPT = "Count from 1 to 1000 in words, one number on each line. Do not stop early, and write nothing else."
"""What is asked for: an answer that any model makes long, and that is worth nothing."""

READING, READ_AGAIN = 5.0, 6
"""Seconds of the stated time that are kept for what follows the last answer, and how many times as long as reading each
answer once took: at the end, all of them are read again and again."""

_NOT_THE_PATHS = frozenset({ExitCode.BAD_INPUT, ExitCode.NO_ENVIRONMENT})
"""Codes of stops whose samples say nothing about the path."""

Say = Callable[[str], None]


@dataclass
class Run:
    """One run; `samples`, `refused`, `stop`, `unmeasured` and `notes` hold what was learnt, also after a cancellation.

    `unasked` counts the requests that were left out so that a bound holds, by the bound in words.

    Args:
        programme: what to ask.
        keys: the secrets of each route.
        model: the model's name.
        longest: seconds after which the audit leaves an answer that has not ended.
        tls: for https; None for the system's authorities.
        say: takes a line of progress.
        headers: of every request, beside the secret ones.
        own: the request that is made in place of the wire format's; None for that.
    """

    programme: Programme
    keys: Keys
    model: str
    longest: float
    tls: ssl.SSLContext | None
    say: Say
    headers: tuple[tuple[str, str], ...] = ()
    own: Ask | None = None
    samples: list[Sample] = field(default_factory=list)
    refused: list[Sample] = field(default_factory=list)
    stop: StopReason | None = None
    notes: list[str] = field(default_factory=list)
    made: int = 0
    unasked: Counter[str] = field(default_factory=Counter)
    unmeasured: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dead: set[str] = set()
        self._unspoken: dict[str, set[HttpVersion]] = {}
        self._waited = False
        self._spent = self._kept = 0
        self._reading = 0.0
        self._unbounded = False
        self._until = inf

    async def run(self) -> None:
        """Ask everything, or until nothing more can be learnt; `stop` says why it ended early."""
        self._until = time.monotonic() + self.programme.most_seconds(self.longest) - READING
        for requests in self.programme.rounds:
            wanted = [request for request in requests if self._wanted(request.setting)]
            if not wanted:
                continue
            if beyond := self._beyond(len(wanted)):
                self.unasked[beyond] += len(wanted)
                continue
            self._tell(wanted)
            if await self._round(wanted):
                return

    def _wanted(self, setting: Setting) -> bool:
        """Whether there is anything to learn: not on a route that failed, nor of a version that it does not speak."""
        route = setting.route.name
        return route not in self._dead and setting.http not in self._unspoken.get(route, ())

    def _beyond(self, requests: int, later: float = 0.0) -> str:
        """Which bound a further round, so many seconds later, might break, in words; empty for none."""
        limit = self.programme.max_tokens
        if self._unbounded and self._spent + requests * most_of(limit) > self.programme.tokens:
            return f"the stated bound of {self.programme.tokens:,} tokens holds although an endpoint ignores its limit"
        if time.monotonic() + later + self.longest + READ_AGAIN * self._reading > self._until:
            return f"the stated bound of {self.programme.most_seconds(self.longest):.0f} s holds"
        if self._kept > (most := most_in_all(self.made, limit)):
            return f"no more is kept than {most:,} bytes of all answers"
        return ""

    def _tell(self, wanted: Sequence[PlannedRequest]) -> None:
        setting = wanted[0].setting
        coding = ", Accept-Encoding" if setting.accept_encoding else ""
        together = f", {len(wanted)} at once" if len(wanted) > 1 else ""
        first = self.made + 1
        numbers = f"{first}" if len(wanted) == 1 else f"{first} to {self.made + len(wanted)}"
        words = f"{setting.route.name}, HTTP/{setting.http}{coding}{together}"
        self.say(f"request {numbers} of at most {self.programme.requests}: {words}")

    async def _round(self, wanted: Round | Sequence[PlannedRequest]) -> bool:
        """Make the requests of one round; True if the run is over."""
        first = not any(sample.setting.route == wanted[0].setting.route for sample in self.telling)
        asked = [asyncio.create_task(self._ask(request)) for request in wanted]
        try:
            with precedence():
                for done in asyncio.as_completed(asked):
                    self.samples.append(await done)
        finally:
            for task in asked:
                task.cancel()
        came = self._of_their_versions(self.samples[-len(wanted) :])
        if (stop := self._without_versions(wanted[0].setting)) is not None:
            return await self._end_or_wait(stop, wanted)
        stops = [(stop, sample) for sample in came if (stop := stop_of(sample, first=first)) is not None]
        self.refused += [sample for stop, sample in stops if stop.code in _NOT_THE_PATHS]
        return bool(stops) and await self._end_or_wait(stops[0][0], wanted)

    @property
    def telling(self) -> list[Sample]:
        """The samples that say something about the path: a wrong key or a rate limit does not."""
        refused = {id(sample) for sample in self.refused}
        return [sample for sample in self.samples if id(sample) not in refused]

    async def _end_or_wait(self, stop: StopReason, wanted: Sequence[PlannedRequest]) -> bool:
        """A short rate limit is waited for once, and the round made again; any other stop ends the route or the run."""
        route = wanted[0].setting.route.name
        patience = stop.retry_after
        worth_it = patience is not None and patience <= LONGEST_WAIT and not self._beyond(len(wanted), patience)
        if patience is not None and worth_it and not self._waited:
            self._waited = True
            self.say(f"{stop.problem}; waiting {patience:.0f} s as asked, once")
            await asyncio.sleep(patience)
            # The refused samples say nothing about the path and would be taken for its errors.
            del self.samples[-len(wanted) :]
            return await self._round(wanted)
        if route != PATH and stop.retry_after is None:
            self._dead.add(route)
            self.unmeasured.append(f"{route} could not be measured: {stop.problem}. {stop.remedy}")
            return False
        self.stop = stop
        return True

    def _of_their_versions(self, came: Sequence[Sample]) -> list[Sample]:
        """The samples of a round that tell something, each under the version that it was really made in."""
        telling = []
        for place, sample in enumerate(came, len(self.samples) - len(came)):
            setting, why = sample.setting, unspoken(sample)
            if why and setting.http not in self._unspoken.setdefault(setting.route.name, set()):
                self._unspoken[setting.route.name].add(setting.http)
                self.notes.append(f"{setting.route.name} does not speak HTTP/{setting.http}: {why}")
            if why and sample.evidence.trace.version:
                # It was asked in the other version after all, and says as much as any sample of that.
                sample = replace(sample, setting=replace(setting, http=HttpVersion.HTTP_1_1))
                self.samples[place] = sample
            elif why:
                self.refused.append(sample)
                continue
            telling.append(sample)
        return telling

    def _without_versions(self, setting: Setting) -> StopReason | None:
        """Why a route cannot be asked at all: it speaks none of the versions that were wished for."""
        every = [one.setting for requests in self.programme.rounds for one in requests]
        wished = {one.http for one in every if one.route == setting.route}
        lacking = self._unspoken.get(setting.route.name, set())
        if not wished <= lacking:
            return None
        host = urlsplit(setting.route.url).netloc
        other = next((version for version in HttpVersion if version not in lacking), None)
        remedy = f"Ask in HTTP/{other}: --http {other}." if other else "Check scheme and port of the address."
        words = " and ".join(f"HTTP/{version}" for version in HttpVersion if version in lacking)
        return StopReason(ExitCode.BAD_INPUT, f"{host} does not speak {words}", remedy)

    async def _ask(self, request: PlannedRequest) -> Sample:
        self.made += 1
        setting = request.setting
        ask = self.own or request.endpoint.wire_format.ask(
            self.model, stream=setting.stream, max_tokens=self.programme.max_tokens, prompt=PROMPT
        )
        terms = RunTerms(self.keys, self.longest, self.tls, self.programme.max_tokens, self.headers)
        sample = await ask_endpoint(request.endpoint, setting, ask, terms)
        began = time.monotonic()
        self._kept += size_of(sample.evidence)
        self._spent += tokens_of(sample.evidence)
        self._reading += time.monotonic() - began
        self._unbounded |= ignores_limit(sample.evidence)
        return sample
