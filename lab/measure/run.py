"""Measures: makes every exchange of an active audit over the real path, all at once, and has them concluded.

The timeout search needs its streams to run at the same time, or a timeout of a minute would take an hour. Ledger and
confirmations go to the model server directly where its address is given, else through the audited path itself; then
first a few exchanges make sure that they come back to the same model server.

Warning: through the path, confirmations take the path's own time and meet its limits on requests.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import aiohttp

from lab.endpoint.address import Endpoint
from lab.endpoint.mask import Mask
from lab.errors import BadInput, EnvironmentFault
from lab.evidence import Evidence, TransportEnd
from lab.judge.endings import NEVER_OPENED
from lab.judge.exchanged import Exchanged
from lab.judge.sentences import never_reached, refused_in_words
from lab.measure.conclude import Audited, conclude, doubts, in_doubt
from lab.measure.exchanges import LEFT_BEHIND, SETTLING, SPARE, Address, make
from lab.measure.findings import ActiveFindings
from lab.plan import make_plan
from lab.precedence import precedence
from lab.probe.side_channel import SideChannel, SideChannelFault
from lab.suite.exchange import Exchange
from lab.suite.search import SHORTEST_TIMEOUT, over_http_2, search, wait_of
from lab.suite.settle import one_format

_FIRST = 8
"""Exchanges before the others: with two replicas behind the path, all of them come back to one in 1 of 128 readings."""

LONGEST_SEARCH = 3600.0
"""Seconds; steady streams of an hour have 15,000 tokens each."""

_ANSWERING = 20.0
"""Seconds for what the side channel still has to answer when an exchange is over."""

Pairs = tuple[tuple[str, str], ...]
Say = Callable[[str], None]


@dataclass(frozen=True)
class AuditTarget:
    """What is audited, and with which secrets.

    Args:
        endpoint: the audited way.
        model_url: the model server's own address; None to reach it through the path.
        headers: request headers with secrets for the path; no report has them.
        model_headers: the same for the side channel.
        mask: takes those secrets out of what comes back.
        tls: for https; None for the system's authorities.
        model_tls: the same for the side channel, and another object: the probe writes into `tls` which HTTP versions
            it offers, and the side channel speaks HTTP/1.1 only.
    """

    endpoint: Endpoint
    model_url: str | None = None
    headers: Pairs = field(default=(), repr=False)
    model_headers: Pairs = field(default=(), repr=False)
    mask: Mask = field(default_factory=lambda: Mask(()))
    tls: ssl.SSLContext | None = None
    model_tls: ssl.SSLContext | None = None

    @property
    def side_url(self) -> str:
        """Where ledger and confirmations go."""
        return self.model_url or side_url_of(self.endpoint)

    @property
    def address(self) -> Address:
        """Where exchanges go."""
        endpoint = self.endpoint
        return Address(
            url=endpoint.origin,
            model_url=self.side_url,
            wire_format=endpoint.wire_format,
            path=endpoint.target,
            headers=self.headers,
            tls=self.tls if endpoint.secure else None,
        )


def side_url_of(endpoint: Endpoint) -> str:
    """Where the model server's other addresses are, seen through the path.

    Raises:
        BadInput: the path does not end as the wire format's own does, so that nobody knows where they are.
    """
    path = endpoint.target.partition("?")[0]
    if not path.endswith(endpoint.wire_format.path):
        raise BadInput(
            f"{endpoint.route.url}: does not end with {endpoint.wire_format.path}, "
            "so the ledger's address is not known",
            "Give the model server's own address with --model-url.",
        )
    return endpoint.origin + path.removesuffix(endpoint.wire_format.path)


def silent(_: str) -> None:
    """Say nothing."""


@dataclass
class ActiveRun:
    """One active audit; what it has learnt so far can be had at any time, also after it was cancelled.

    Args:
        target: what to audit.
        longest: the longest generation to expect, in seconds: timeouts are looked for up to there.
        say: takes a line of progress.

    Raises:
        BadInput: the length makes no sense.
    """

    target: AuditTarget
    longest: float
    say: Say = silent
    made: list[Exchanged] = field(default_factory=list)
    again: list[Exchanged] = field(default_factory=list)
    failed: list[EnvironmentFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not SHORTEST_TIMEOUT <= self.longest <= LONGEST_SEARCH:
            raise BadInput(
                f"--longest: timeouts are looked for from {SHORTEST_TIMEOUT:g} s to {LONGEST_SEARCH:g} s",
                "Write it like 60s or 10m.",
            )
        self._began = time.monotonic()
        self._planned: list[Exchange] = []

    async def run(self) -> None:
        """Make every exchange.

        Raises:
            EnvironmentFault: the path or the model server behind it cannot be reached, or the ledger does not have
                what was asked.
        """
        target = self.target
        async with SideChannel(target.side_url, headers=target.model_headers, tls=target.model_tls) as channel:
            check = [Exchange(f"first-{number}", make_plan({"tokens": 3})) for number in range(_FIRST)]
            self.say(f"{len(check)} exchanges as a check, for at most {at_most(check):.0f} s")
            await _make_sure(target, channel, check)
            self._began = time.monotonic()
            secure = target.endpoint.secure
            exchanges = [*search(self.longest), *one_format(target.endpoint.wire_format, http_2=secure)]
            exchanges += over_http_2(self.longest) if secure else []
            self._planned = [*exchanges]
            words = f"{len(exchanges)} exchanges at the same time, for some {wait_of(self.longest) + SETTLING:.0f} s"
            await self._ask(channel, exchanges, words)
            if 2 * len(self.failed) > len(exchanges):
                raise self.failed[0]
            again = doubts(self.made, self.longest)
            if again:
                self._planned += again
                longest = max(exchange.plan.length for exchange in again)
                words = f"some ends were seen late: {len(again)} exchanges once more, for some {longest:.0f} s"
                await self._ask(channel, again, words)
            unsure = in_doubt(self.made)
            if unsure:
                self._planned += unsure
                words = f"the machine was too busy to tell: {len(unsure)} exchanges once more, for some seconds"
                await self._ask(channel, unsure, words, self.again)

    async def _ask(
        self,
        channel: SideChannel,
        exchanges: Sequence[Exchange],
        words: str,
        to: list[Exchanged] | None = None,
    ) -> None:
        """Make these at once; whoever answers, it is over by the time that is stated."""
        most = at_most(exchanges)
        self.say(f"{words}, and at most {most:.0f} s")
        # What is not over then, the findings say.
        with suppress(TimeoutError), precedence():
            async with asyncio.timeout(most), asyncio.TaskGroup() as group:
                for exchange in exchanges:
                    group.create_task(self._keep(channel, exchange, self.made if to is None else to))

    async def _keep(self, channel: SideChannel, exchange: Exchange, to: list[Exchanged]) -> None:
        try:
            to.append(await _make(self.target, channel, exchange))
        except EnvironmentFault as fault:
            self.failed.append(fault)

    def findings(self) -> ActiveFindings:
        """What follows from the exchanges that are over."""
        target = self.target
        audited = Audited(
            url=target.endpoint.route.url,
            model_url=target.side_url,
            through_path=target.model_url is None,
            wire_format=target.endpoint.wire_format.name,
            longest=self.longest,
            began=self._began,
            seconds=time.monotonic() - self._began,
            notes=(*self._cut_short(), *_notes(target, self.made)),
            lost=self._lost(),
        )
        return target.mask.everything(conclude(audited, self.made, self.again))

    def _cut_short(self) -> Iterator[str]:
        if self.failed:
            yield f"{len(self.failed)} exchanges were lost: {self.failed[0].problem}"
        missing = len(self._planned) - len(self.made) - len(self.again) - len(self.failed)
        if missing:
            yield f"stopped early: {missing} of {len(self._planned)} exchanges were not over"

    def _lost(self) -> tuple[Exchange, ...]:
        made = {each.name for each in self.made}
        return tuple(each for each in self._planned if each.name not in made)


def at_most(exchanges: Sequence[Exchange]) -> float:
    """Seconds after which exchanges are over that are all asked at once, and their ledgers read."""
    return (
        max(exchange.delay + exchange.plan.longest for exchange in exchanges)
        + SPARE
        + LEFT_BEHIND
        + SETTLING
        + _ANSWERING
    )


async def _make(target: AuditTarget, channel: SideChannel, exchange: Exchange) -> Exchanged:
    await asyncio.sleep(exchange.delay)
    try:
        evidence = await make(exchange, target.address, channel)
    except SideChannelFault as fault:
        raise _masked_fault(target, fault) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _no_ledger(target, f"stopped answering: {error}") from error
    return Exchanged.alone(exchange, _masked(evidence, target.mask))


def _masked(evidence: Evidence, mask: Mask) -> Evidence:
    return replace(evidence, trace=mask.trace(evidence.trace), refusals=mask.everything(evidence.refusals))


async def _make_sure(target: AuditTarget, channel: SideChannel, check: Sequence[Exchange]) -> None:
    """Make a few short exchanges, each of which must come back with its ledger.

    Raises:
        EnvironmentFault: says what does not answer, and what to do.
    """
    try:
        async with asyncio.timeout(at_most(check)):
            await channel.offset()
            first = await asyncio.gather(*(_make(target, channel, exchange) for exchange in check))
    except SideChannelFault as fault:
        raise _masked_fault(target, fault) from None
    except aiohttp.ClientResponseError as error:
        raise _no_ledger(target, f"answers {error.status} {error.message}".rstrip(), status=error.status) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _no_ledger(target, f"does not answer: {error}".removesuffix(": ")) from None
    lost = [each for each in first if each.evidence.ledger is None]
    if lost:
        raise _not_in_the_ledger(target, lost[0].evidence, len(lost), len(first))


def _not_in_the_ledger(target: AuditTarget, evidence: Evidence, lost: int, of: int) -> EnvironmentFault:
    """Why exchanges are not in the ledger, as far as one of them tells."""
    url, trace = target.endpoint.route.url, evidence.trace
    if trace.end in NEVER_OPENED or trace.end is TransportEnd.CONNECT_TIMEOUT:
        return EnvironmentFault(
            f"{url}: cannot be reached: {trace.detail or trace.end}", "Look at address and network."
        )
    if trace.status is not None and trace.status != 200:
        return EnvironmentFault(
            f"{url}: answers {trace.status}: {refused_in_words(evidence) or never_reached([evidence])}",
            _ABOUT_STATUS.get(
                trace.status, "Look at the path: the lab's model server (lab serve) must stand behind it."
            ),
        )
    if lost < of:
        return EnvironmentFault(
            f"{url}: the ledger at {target.side_url} has only {of - lost} of {of} requests, "
            "so several model servers stand behind the path",
            "Let one replica stand there, or give its own address with --model-url.",
        )
    return EnvironmentFault(
        f"{url}: an answer came, but the ledger at {target.side_url} knows nothing of it",
        "Either another model stands behind the path than at that address, or a hop takes X-Lab-Request and X-Lab-Plan "
        "out of the request's headers: let them pass.",
    )


_ABOUT_STATUS = {
    401: "Give the model server's secret with --secret-file or LAB_SECRET, and the gateway's key with --key-env. If "
    "both are right, the path may have taken one out of the request's headers: some proxies drop Authorization.",
    403: "Give the gateway's key with --key-env.",
    404: "Look at the path of the address.",
    429: "The path limits requests: the active audit makes some sixty at a time.",
    502: "The path does not reach the model server: start it with lab serve.",
    503: "The path does not reach the model server: start it with lab serve.",
    504: "The path does not reach the model server: start it with lab serve.",
}


def _masked_fault(target: AuditTarget, fault: SideChannelFault) -> EnvironmentFault:
    return EnvironmentFault(target.mask.text(fault.problem), fault.remedy)


def _no_ledger(target: AuditTarget, what: str, *, status: int = 0) -> EnvironmentFault:
    place = f"the model server's side channel at {target.side_url}/lab/"
    remedy = _ABOUT_STATUS[401] if status == 401 else "Start the model server with lab serve"
    if status != 401:
        remedy += (
            ", and let the path pass /lab/ on, or give --model-url."
            if target.model_url is None
            else " at that address."
        )
    return EnvironmentFault(target.mask.text(f"{place} {what}"), remedy)


def _notes(target: AuditTarget, made: Sequence[Exchanged]) -> tuple[str, ...]:
    notes = []
    if target.model_url is None:
        notes.append("the ledger was read and tokens were confirmed through the audited path itself")
    if not target.endpoint.secure:
        notes.append("HTTP/2 was not asked for: the address is not https")
    lost = [each for each in made if each.evidence.ledger is None and each.reading.facts.received]
    if lost:
        notes.append(f"{len(lost)} answers are in no ledger: more than one model server may stand behind the path")
    return tuple(notes)
