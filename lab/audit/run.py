"""The audit's run: makes the requests of a programme and keeps a sample of each.

Samples are kept as they come, so that whoever stops the run has what was learnt so far. Secrets are in the
request's headers and nowhere else: a reply is masked before anything reads it. Redirects are not followed,
certificates are verified, and every wait and every body has a limit.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from lab.audit.keys import Keys, Mask
from lab.audit.programme import Programme, Request, Round
from lab.audit.samples import PATH, Sample, Setting
from lab.audit.stops import MOST_BYTES, Stop, stop_of
from lab.errors import ExitCode
from lab.evidence import Evidence, HttpVersion
from lab.probe.exchange import Patience, exchange

PROMPT = "Count from 1 to 1000 in words, one number on each line. Do not stop early, and write nothing else."
"""What is asked for: an answer that any model makes long, and that is worth nothing."""

LONGEST_WAIT = 20.0
"""Seconds of a rate limit's `Retry-After` that the audit waits, once; a longer one ends it."""

_CONNECT = 15.0

Say = Callable[[str], None]


@dataclass
class Run:
    """One run; `samples`, `refused`, `stop` and `notes` hold what was learnt, also after it was cancelled.

    Args:
        programme: what to ask.
        keys: the secrets of each way.
        model: the model's name.
        longest: seconds after which the audit leaves an answer that has not ended.
        tls: for https; None for the system's authorities.
        say: takes a line of progress.
    """

    programme: Programme
    keys: Keys
    model: str
    longest: float
    tls: ssl.SSLContext | None
    say: Say
    samples: list[Sample] = field(default_factory=list)
    refused: list[Sample] = field(default_factory=list)
    stop: Stop | None = None
    notes: list[str] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self._mask: Mask = self.keys.mask
        self._dead: set[str] = set()
        self._only_1_1: set[str] = set()
        self._waited = False

    async def run(self) -> None:
        """Ask everything, or until nothing more can be learnt; `stop` says why it ended early."""
        for requests in self.programme.rounds:
            wanted = [request for request in requests if self._wanted(request.setting)]
            if not wanted:
                continue
            self._tell(wanted)
            if await self._round(wanted):
                return

    def _wanted(self, setting: Setting) -> bool:
        """Whether there is anything to learn: not on a way that failed, nor of a version that it does not speak."""
        if setting.way.name in self._dead:
            return False
        return setting.http is HttpVersion.HTTP_1_1 or setting.way.name not in self._only_1_1

    def _tell(self, wanted: Sequence[Request]) -> None:
        setting = wanted[0].setting
        coding = ", Accept-Encoding" if setting.accept_encoding else ""
        together = f", {len(wanted)} at once" if len(wanted) > 1 else ""
        first = self.made + 1
        numbers = f"{first}" if len(wanted) == 1 else f"{first} to {self.made + len(wanted)}"
        words = f"{setting.way.name}, HTTP/{setting.http}{coding}{together}"
        self.say(f"request {numbers} of at most {self.programme.requests}: {words}")

    async def _round(self, wanted: Round | Sequence[Request]) -> bool:
        """Make the requests of one round; True if the run is over."""
        first = not any(sample.setting.way == wanted[0].setting.way for sample in self.samples)
        asked = [asyncio.create_task(self._ask(request)) for request in wanted]
        try:
            for done in asyncio.as_completed(asked):
                self.samples.append(await done)
        finally:
            for task in asked:
                task.cancel()
        came = self.samples[-len(wanted) :]
        self._note_versions(came)
        stops = [(stop, sample) for sample in came if (stop := stop_of(sample, first=first)) is not None]
        self.refused += [sample for stop, sample in stops if stop.code is not ExitCode.REQUIREMENT_FAILED]
        return bool(stops) and await self._end_or_wait(stops[0][0], wanted)

    @property
    def telling(self) -> list[Sample]:
        """The samples that say something about the path: a wrong key or a rate limit does not."""
        refused = {id(sample) for sample in self.refused}
        return [sample for sample in self.samples if id(sample) not in refused]

    async def _end_or_wait(self, stop: Stop, wanted: Sequence[Request]) -> bool:
        """A short rate limit is waited for once, and the round made again; any other stop ends the way or the run."""
        way = wanted[0].setting.way.name
        patience = stop.retry_after
        if patience is not None and patience <= LONGEST_WAIT and not self._waited:
            self._waited = True
            self.say(f"{stop.problem}; waiting {patience:.0f} s as asked, once")
            await asyncio.sleep(patience)
            # The refused samples say nothing about the path and would be taken for its errors.
            del self.samples[-len(wanted) :]
            return await self._round(wanted)
        if way != PATH and stop.retry_after is None:
            self._dead.add(way)
            self.notes.append(f"{way} was left out: {stop.problem}. {stop.remedy}")
            return False
        self.stop = stop
        return True

    def _note_versions(self, came: Sequence[Sample]) -> None:
        for sample in came:
            way, agreed = sample.setting.way.name, sample.evidence.trace.version
            wanted_2 = sample.setting.http is HttpVersion.HTTP_2
            if wanted_2 and agreed.startswith("1") and way not in self._only_1_1:
                self._only_1_1.add(way)
                self.notes.append(f"{way} does not speak HTTP/2: it agreed on HTTP/{agreed}")

    async def _ask(self, request: Request) -> Sample:
        self.made += 1
        endpoint, setting = request.endpoint, request.setting
        ask = endpoint.wire_format.ask(
            self.model, stream=setting.stream, max_tokens=self.programme.max_tokens, prompt=PROMPT
        )
        # Header values are plain here, and only here; nothing below keeps the request.
        secrets = [secret.plain() for secret in self.keys.of(setting.way.name)]
        ours = [("User-Agent", f"token-stream-lab/{version('token-stream-lab')}")]
        if setting.accept_encoding:
            ours.append(("Accept-Encoding", setting.accept_encoding))
        trace = await exchange(
            endpoint.origin,
            replace(ask, path=endpoint.target),
            headers=[*ours, *secrets],
            patience=Patience(_CONNECT, self.longest, self.longest, self.longest, self.longest),
            tls=self.tls if endpoint.secure else None,
            http=setting.http,
            limit=MOST_BYTES,
        )
        evidence = Evidence(endpoint.wire_format.name, setting.stream, self._mask.trace(trace))
        return Sample(setting, evidence)
