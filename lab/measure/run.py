"""Measures: makes every exchange of an active audit over the real path, all at once, and has them concluded.

The timeout search needs its streams to run at the same time, or a timeout of a minute would take an hour. Ledger and
confirmations go to the model server directly where its address is given, else through the audited path itself; then
first a few exchanges make sure that they come back to the same model server.

Warning: through the path, confirmations take the path's own time and meet its limits on requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace

import aiohttp

from lab.endpoint.mask import Mask
from lab.errors import BadInput, EnvironmentFault
from lab.evidence import Evidence
from lab.judge.causes import DEADLY
from lab.judge.exchanged import Exchanged
from lab.measure.conclude import Audited, conclude, doubts, in_doubt, was_slow
from lab.measure.exchanges import LEFT_BEHIND, SETTLING, SPARE, make
from lab.measure.faults import masked_fault, no_ledger, not_in_the_ledger, stopped_answering, too_narrow
from lab.measure.findings import ActiveFindings
from lab.measure.outage import Outage, outage_of, refused, still_to_ask, turned_some_away
from lab.measure.target import AuditTarget
from lab.measure.width import ALONE, LONGER, SHORT, STAGES, Width, asking, width_of
from lab.plan import make_plan
from lab.precedence import precedence
from lab.probe.side_channel import SideChannel, SideChannelFault
from lab.suite.exchange import Exchange, Role
from lab.suite.search import FEW, SHORTEST_TIMEOUT, over_http_2, search
from lab.suite.settle import one_format

_FIRST = 8
"""Exchanges before the others: with two replicas behind the path, all of them come back to one in 1 of 128 readings."""

LONGEST_SEARCH = 3600.0
"""Seconds; steady streams of an hour have 15,000 tokens each."""

_ANSWERING = 20.0
"""Seconds for what the side channel still has to answer when an exchange is over."""

_MOST_OUTAGE = 60.0
"""Seconds for which a path that has taken its server out is waited for."""

_OVER_A_SLOW_PATH = 2
"""Exchanges at a time over a path that more of them keep from running: LiteLLM let holds of 3 s run out with 27 of them
on a busy machine, each of which confirms its tokens by questions through it (measured)."""

_LOOKS_EVERY = 1.0

_PROVOKES = (
    "--active provokes timeouts, cuts and errors on purpose: a load balancer that counts failures may take the model "
    "server out for everybody, so audit a path that nobody uses just now"
)

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing."""


@dataclass
class ActiveRun:
    """One active audit; what it has learnt so far can be had at any time, also after it was cancelled.

    Args:
        target: what to audit.
        longest: the longest generation to expect, in seconds: timeouts are looked for up to there.
        say: takes a line of progress.
        at_once: how many exchanges may run at a time; None to find out what the path takes.

    Raises:
        BadInput: the length makes no sense.
    """

    target: AuditTarget
    longest: float
    say: Say = silent
    at_once: int | None = None
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
        self._width: Width | None = None
        self._outage: Outage | None = None
        self._places = self.at_once
        self._by_questions = False

    async def run(self) -> None:
        """Make every exchange.

        Raises:
            EnvironmentFault: the path or the model server behind it cannot be reached, or the ledger does not have
                what was asked.
        """
        self.say(_PROVOKES)
        async with AsyncExitStack() as stack:
            channel = await self._side(stack)
            check = [Exchange(f"first-{number}", make_plan({**ALONE, "tokens": 3})) for number in range(_FIRST)]
            self.say(f"{len(check)} exchanges as a check, for at most {at_most(check, self.at_once):.0f} s")
            await _make_sure(self.target, channel, check, self.at_once)
            exchanges = self._exchanges()
            if self.at_once is None:
                self._width = await self._find_width(channel, len(exchanges))
                self._places = None if self._width is None else self._places_of(self._width)
            if self._places is not None and self._places < len(exchanges) / 2:
                search_few = (each for each in exchanges if each.role not in (Role.SEARCH, Role.HEARTBEAT))
                exchanges = [*(each for each in exchanges if each.name in FEW), *search_few]
            self._began = time.monotonic()
            self._planned = [*exchanges]
            await self._ask(channel, exchanges, f"{len(exchanges)} exchanges {self._how_many()}")
            if 2 * len(self.failed) > len(exchanges):
                raise self.failed[0]
            await self._go_on_after_an_outage(channel)
            await self._ask_again(channel)

    def _exchanges(self) -> list[Exchange]:
        secure = self.target.endpoint.secure
        exchanges = [*search(self.longest), *one_format(self.target.endpoint.wire_format, http_2=secure)]
        return [*exchanges, *(over_http_2(self.longest) if secure else [])]

    def _how_many(self) -> str:
        return "at the same time" if self._places is None else f"of which {self._places} at a time"

    async def _side(self, stack: AsyncExitStack) -> SideChannel:
        """The side channel: at the model server's own addresses, or else by questions, which every path passes."""
        target = self.target
        channel = SideChannel(target.side_url, headers=target.model_headers, tls=target.model_tls)
        await stack.enter_async_context(channel)
        if target.model_url is not None:
            return channel
        try:
            await channel.offset()
        except aiohttp.ClientResponseError as error:
            if error.status == 401:
                raise no_ledger(target, f"answers {error.status} {error.message}".rstrip(), status=401) from None
        except SideChannelFault:
            pass
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_ledger(target, f"does not answer: {error}".removesuffix(": ")) from None
        else:
            return channel
        self._by_questions = True
        return await stack.enter_async_context(target.questions)

    async def _find_width(self, channel: SideChannel, most: int) -> Width | None:
        """How many requests the path takes at a time; None for as many as the audit makes."""
        self.say("how many requests the path takes at a time: for some seconds")
        for number in (*STAGES, most):
            first = width_of(await self._gather(channel, asking(number, SHORT)))
            if first is None or first.refused:
                if first is not None:
                    return first
                continue
            longer = asking(min(number, 2 * first.at_once + 2), LONGER)
            second = width_of(await self._gather(channel, longer))
            if second is not None:
                # Where each worker has its own queue, it is a matter of chance how many run at once.
                fewest = min(second, first, key=lambda each: each.at_once)
                self.say(fewest.words)
                return fewest
        return None

    def _places_of(self, width: Width) -> int:
        """How many exchanges may run at a time; through the path, each needs a place for its confirmations too.

        Raises:
            EnvironmentFault: there is no place for them.
        """
        if self.target.model_url is not None:
            return width.at_once
        if width.at_once < 2:
            raise too_narrow(self.target)
        return width.at_once // 2

    async def _gather(self, channel: SideChannel, exchanges: Sequence[Exchange]) -> list[Exchanged]:
        """Make these at once, whatever comes; those of which nothing comes are left out."""
        made: list[Exchanged] = []
        with suppress(TimeoutError), precedence():
            async with asyncio.timeout(at_most(exchanges, 1)), asyncio.TaskGroup() as group:
                for exchange in exchanges:
                    group.create_task(self._keep(channel, exchange, made, None, []))
        return made

    async def _go_on_after_an_outage(self, channel: SideChannel) -> None:
        """Ask again what the path refused because it had taken its server out, one at a time."""
        outage = outage_of(self.made)
        self._outage = outage
        if outage is None:
            return
        again = still_to_ask(self.made, self.longest)
        names = {each.name for each in again}
        self.say(outage.words)
        lasted = await self._until_back(channel)
        self._outage = replace(outage, seconds=_MOST_OUTAGE if lasted is None else lasted, over=lasted is not None)
        if lasted is None:
            return
        self._places = 1
        # The others of a kind tell no more than those that came through.
        self.made = [each for each in self.made if not refused(each)]
        kept = names | {each.name for each in self.made}
        self._planned = [each for each in self._planned if each.name in kept]
        if again:
            words = f"{len(again)} exchanges one at a time, up to {lasted:.0f} s before each until the server is back"
            await self._ask(channel, again, words)

    async def _until_back(self, channel: SideChannel) -> float | None:
        """Seconds until the path has its server again; None if that takes too long."""
        began = time.monotonic()
        while time.monotonic() - began < _MOST_OUTAGE:
            (look,) = await self._gather(channel, [Exchange("back", make_plan({"tokens": 1}))]) or (None,)
            if look is not None and look.evidence.ledger is not None:
                return time.monotonic() - began
            await asyncio.sleep(_LOOKS_EVERY)
        return None

    async def _ask_again(self, channel: SideChannel) -> None:
        """What the machine was too busy to tell."""
        again = doubts(self.made, self.longest, narrow=self._width is not None)
        if again:
            self._planned += again
            await self._ask(channel, again, f"some ends were seen late: {len(again)} exchanges once more")
        unsure = in_doubt(self.made)
        if unsure:
            if was_slow(self.made):
                self._places = min(self._places or _OVER_A_SLOW_PATH, _OVER_A_SLOW_PATH)
            self._planned += unsure
            await self._ask(
                channel, unsure, f"the machine was too busy to tell: {len(unsure)} exchanges once more", self.again
            )

    async def _ask(
        self, channel: SideChannel, exchanges: Sequence[Exchange], words: str, to: list[Exchanged] | None = None
    ) -> None:
        """Make these, as many at once as there are places; whoever answers, it is over by the time that is stated."""
        most, likely = at_most(exchanges, self._places), likely_time(exchanges, self._places)
        self.say(f"{words}, for some {likely:.0f} s, and at most {most:.0f} s")
        places = None if self._places is None else asyncio.Semaphore(self._places)
        # What provokes comes last: some servers lose a worker for each model that dies.
        in_order = sorted(exchanges, key=lambda each: (_kills(each), -each.plan.length))
        # What is not over then, the findings say.
        with suppress(TimeoutError), precedence():
            async with asyncio.timeout(most), asyncio.TaskGroup() as group:
                for exchange in exchanges if places is None else in_order:
                    into = self.made if to is None else to
                    group.create_task(self._keep(channel, exchange, into, places, self.failed))

    async def _keep(
        self,
        channel: SideChannel,
        exchange: Exchange,
        to: list[Exchanged],
        places: asyncio.Semaphore | None,
        failed: list[EnvironmentFault],
    ) -> None:
        if self._places != 1:
            await asyncio.sleep(exchange.delay)
        async with AsyncExitStack() as stack:
            if places is not None:
                await stack.enter_async_context(places)
            try:
                made = await _make(self.target, channel, exchange)
                alone = places is not None and self._places == 1
                # The one before took the server out; this one has not been asked yet.
                if alone and refused(made) and await self._until_back(channel) is not None:
                    made = await _make(self.target, channel, exchange)
                to.append(made)
            except EnvironmentFault as fault:
                failed.append(fault)

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
            notes=(*self._cut_short(), *_notes(target, self.made, by_questions=self._by_questions)),
            lost=self._lost(),
            width=self._width,
            outage=self._outage,
        )
        return target.mask.everything(conclude(audited, self.made, self.again))

    def _cut_short(self) -> Iterator[str]:
        if self.failed:
            fault = self.failed[0]
            yield f"{len(self.failed)} exchanges were lost: {fault.problem}. {fault.remedy}".rstrip()
        missing = len(self._planned) - len(self.made) - len(self.again) - len(self.failed)
        if missing:
            yield f"stopped early: {missing} of {len(self._planned)} exchanges were not over"

    def _lost(self) -> tuple[Exchange, ...]:
        made = {each.name for each in self.made}
        return tuple(each for each in self._planned if each.name not in made)


def at_most(exchanges: Sequence[Exchange], places: int | None = None) -> float:
    """Seconds after which exchanges are over, and their ledgers read; `places` as many at a time, None for all."""
    after = SPARE + LEFT_BEHIND + SETTLING + _ANSWERING
    longest = max(exchange.asked_after + exchange.plan.longest for exchange in exchanges) + after
    if places is None or places >= len(exchanges):
        return longest
    each = _MOST_OUTAGE if places == 1 else SETTLING
    return longest + sum(exchange.plan.longest + each for exchange in exchanges) / places


def likely_time(exchanges: Sequence[Exchange], places: int | None = None) -> float:
    """Seconds that exchanges mostly take of which so many are made at once; None for all."""
    longest = max(exchange.asked_after + exchange.plan.length for exchange in exchanges)
    if places is None or places >= len(exchanges):
        return longest + SETTLING
    return max(longest, sum(exchange.plan.length + 1 for exchange in exchanges) / places) + SETTLING


async def _make(target: AuditTarget, channel: SideChannel, exchange: Exchange) -> Exchanged:
    try:
        evidence = await make(exchange, target.address, channel)
    except SideChannelFault as fault:
        raise masked_fault(target, fault) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise stopped_answering(target, error) from error
    return Exchanged.alone(exchange, _masked(evidence, target.mask))


def _kills(exchange: Exchange) -> bool:
    """Whether the model dies in it."""
    return exchange.plan.fault is not None and exchange.plan.fault.kind in DEADLY


def _masked(evidence: Evidence, mask: Mask) -> Evidence:
    return replace(evidence, trace=mask.trace(evidence.trace), refusals=mask.everything(evidence.refusals))


async def _make_sure(target: AuditTarget, channel: SideChannel, check: Sequence[Exchange], places: int | None) -> None:
    """Make a few short exchanges, each of which must come back with its ledger.

    Raises:
        EnvironmentFault: says what does not answer, and what to do.
    """
    try:
        async with asyncio.timeout(at_most(check, places)):
            await channel.offset()
            free = asyncio.Semaphore(places or len(check))

            async def one(exchange: Exchange) -> Exchanged:
                async with free:
                    return await _make(target, channel, exchange)

            first = await asyncio.gather(*map(one, check))
            if turned_some_away(first):
                first = await asyncio.gather(*map(one, check))
    except SideChannelFault as fault:
        raise masked_fault(target, fault) from None
    except aiohttp.ClientResponseError as error:
        raise no_ledger(target, f"answers {error.status} {error.message}".rstrip(), status=error.status) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise no_ledger(target, f"does not answer: {error}".removesuffix(": ")) from None
    lost = [each for each in first if each.evidence.ledger is None]
    if lost:
        raise not_in_the_ledger(target, lost[0].evidence, len(lost), len(first))


def _notes(target: AuditTarget, made: Sequence[Exchanged], *, by_questions: bool) -> tuple[str, ...]:
    notes = []
    if by_questions:
        notes.append(
            "the path does not pass /lab/ on, so the ledger was read and tokens were confirmed by questions in the "
            "user's message, through the audited path itself; with --model-url they go to the model server directly, "
            "and tell of its side also while the path refuses, and without the path's own time in each confirmation"
        )
    elif target.model_url is None:
        notes.append("the ledger was read and tokens were confirmed through the audited path itself")
    if not target.endpoint.secure:
        notes.append("HTTP/2 was not asked for: the address is not https")
    lost = [each for each in made if each.evidence.ledger is None and each.reading.facts.received]
    if lost:
        notes.append(f"{len(lost)} answers are in no ledger: more than one model server may stand behind the path")
    return tuple(notes)
