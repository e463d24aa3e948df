"""What in a user's file breaks a requirement, and the fewest lines that mend it: found by trying, on copies of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab.evidence import HttpVersion
from lab.judge import Observation, Observations
from lab.products.adapted import Entrance, Mending, Replacement
from lab.products.remedies import settings_of
from lab.suite.exchange import Exchange
from lab.suite.settle import Waits, suite
from lab.testbed.engine import Say
from lab.testbed.supply import Supply
from lab.verify.rounds import AT_ONCE, Copies, Copy, UserFile, failing
from lab.vocabulary import Requirement, State


@dataclass(frozen=True)
class Verified:
    """One entrance of a user's file.

    Args:
        entrance: which.
        observations: of the file as it is.
        causes: by requirement that is not met, each setting that alone mends it.
        fix: the fewest settings with which everything is met that any of those that were tried mends.
        after: what was observed with them; empty where there are none.
        tried: the settings that were tried.
        replaced: what the copy has otherwise than the file.
        known: what no configuration of the product meets, each with the reason.
    """

    entrance: Entrance
    observations: Observations
    causes: Mapping[Requirement, tuple[Mending, ...]]
    fix: tuple[str, ...]
    after: Observations
    tried: tuple[str, ...]
    replaced: tuple[Replacement, ...]
    known: Mapping[Requirement, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[Observation]:
        """What is not met and could be, or is not to be told for the path's own sake."""
        return failing(self.observations, self.known)

    @property
    def unmeetable(self) -> list[Observation]:
        """What is not met, as it would not be by any other file of the product."""
        return [
            each
            for each in self.observations.values()
            if each.state is State.NOT_MET and each.requirement in self.known
        ]

    @property
    def untold(self) -> list[Observation]:
        """What cannot be told for the lab's own sake."""
        return [each for each in self.observations.values() if each.state is State.INCONCLUSIVE and each.doubt]

    @property
    def whole(self) -> bool:
        """Whether the fix was seen to mend all that failed, and to break nothing."""
        return (
            bool(self.fix)
            and not failing(self.after, self.known)
            and all(_mends(self.after, each) for each in self.causes)
        )


def exchanges_for(
    waits: Waits, entrance: Entrance, requirements: Iterable[Requirement] | None = None
) -> list[Exchange]:
    """The suite in the entrance's own format and versions; of it what settles some requirements, if they are given."""
    own = [each for each in suite(waits) if not each.wire_format]
    own = [each for each in own if entrance.http_2 or each.http is HttpVersion.HTTP_1_1]
    if requirements is None:
        return own
    # Nothing else is judged, so that no doubt about anything else has them made again.
    wanted = frozenset(requirements)
    some = [replace(each, requirements=tuple(one for one in each.requirements if one in wanted)) for each in own]
    return [each for each in some if each.requirements]


async def verify(file: UserFile, waits: Waits, supply: Supply, say: Say, *, mend: bool = False) -> list[Verified]:
    """Verify every entrance of a file, and find what breaks each requirement.

    Args:
        file: the file, and what runs it.
        waits: how long to wait at least.
        supply: where runners come from.
        say: takes a line of progress.
        mend: whether to look for the fewest settings with which everything is met.

    Raises:
        SetUpFault: the product refuses the file.
        EnvironmentFault: the machine lacks what it needs.
    """
    plain = [Copy(entrance) for entrance in file.adapter.entrances]
    settings = tuple(_worth_a_try(file, waits))
    each_alone = [Copy(copy.entrance, (line,)) for copy in plain for line in settings]
    many = "one entrance" if len(plain) == 1 else f"{len(plain)} entrances"
    async with Copies(file, supply, say) as copies:
        say(f"asking {many} of {file.path}, through {file.proxy.id}")
        # Another start would take longer than these together, if any of them is needed.
        await copies.have([*plain, *(each_alone if len(each_alone) <= AT_ONCE else ())])
        first = await copies.observe({copy: exchanges_for(waits, copy.entrance) for copy in plain})
        # Where nothing is met, nothing came through, and no setting is to blame.
        through = [copy for copy in plain if any(each.met for each in first[copy].values())]
        failed = {
            copy: {each.requirement for each in failing(first[copy], file.known)} if copy in through else set()
            for copy in plain
        }
        alone = await _seen_twice(copies, each_alone, failed, waits)
        wishes = {copy: _smallest(copy, settings, failed[copy], alone) for copy in plain if failed[copy] and mend}
        fixes, after = await _fixed(copies, wishes, settings, waits)
    return [
        Verified(
            copy.entrance,
            first[copy],
            {each: _causes(file, copy, each, settings, alone) for each in first[copy] if each in failed[copy]},
            fixes.get(copy, ()),
            after.get(copy, {}),
            settings if failed[copy] else (),
            tuple(file.adapter.replacements(copy.entrance)),
            file.known,
        )
        for copy in plain
    ]


def _worth_a_try(file: UserFile, waits: Waits) -> Iterator[str]:
    """The settings of a product's with which a copy of the file is another one."""
    longest = max(waits.longest, waits.first_token, waits.gap)
    adapter = file.adapter
    plain = {each: adapter.copy(each) for each in adapter.entrances}
    for line in settings_of(file.proxy.product, longest) if adapter.tunable else ():
        if any(adapter.copy(each, (line,)) != text for each, text in plain.items()):
            yield line


async def _seen_twice(
    copies: Copies, each_alone: Sequence[Copy], failed: Mapping[Copy, set[Requirement]], waits: Waits
) -> dict[Copy, Observations]:
    """What is observed of copies with one setting; what one seems to mend is looked at once more.

    A proxy may fail a requirement now and then. HAProxy 3.2 over TLS was seen to hold tokens in one to three of eight
    streams, and for once in none: whatever was tried at that moment seemed to mend it.
    """
    tried = [copy for copy in each_alone if failed[Copy(copy.entrance)]]
    if not tried:
        return {}
    copies.say(f"trying {len(tried)} settings, each alone")
    first = await copies.observe(
        {copy: exchanges_for(waits, copy.entrance, failed[Copy(copy.entrance)]) for copy in tried}
    )
    mended = {
        copy: {each for each in failed[Copy(copy.entrance)] if _mends(observed, each)}
        for copy, observed in first.items()
    }
    seeming = {copy: exchanges_for(waits, copy.entrance, found) for copy, found in mended.items() if found}
    if seeming:
        copies.say(f"trying {len(seeming)} of them once more")
    second = await copies.observe(seeming)
    return first | {
        copy: {
            each: second[copy].get(each, found) if each in mended[copy] else found
            for each, found in first[copy].items()
        }
        for copy in second
    }


def _mends(observed: Observations | None, requirement: Requirement) -> bool:
    return observed is not None and requirement in observed and observed[requirement].state is State.MET


def _causes(
    file: UserFile,
    copy: Copy,
    requirement: Requirement,
    settings: Sequence[str],
    alone: Mapping[Copy, Observations],
) -> tuple[Mending, ...]:
    mending = [line for line in settings if _mends(alone.get(Copy(copy.entrance, (line,))), requirement)]
    return tuple(Mending(line, file.adapter.spot_of(copy.entrance, line)) for line in mending)


def _smallest(
    copy: Copy, settings: tuple[str, ...], failed: Iterable[Requirement], alone: Mapping[Copy, Observations]
) -> tuple[str, ...]:
    """Settings that mend together whatever one of them mends: those first that mend most."""
    left = set(failed)
    mended = {
        line: {each for each in left if _mends(alone.get(Copy(copy.entrance, (line,))), each)} for line in settings
    }
    chosen: list[str] = []
    while any(mended[line] & left for line in settings):
        best = max(settings, key=lambda line: len(mended[line] & left))
        chosen.append(best)
        left -= mended[best]
    # What none mends alone, some may together.
    return settings if left else tuple(line for line in settings if line in chosen)


async def _proven(
    copies: Copies, fixes: Mapping[Copy, tuple[str, ...]], waits: Waits
) -> tuple[dict[Copy, tuple[str, ...]], dict[Copy, Observations]]:
    """The fixes as they hold: run as a whole, and without each of their lines, which something has to need."""
    wanted = {Copy(copy.entrance, fix): exchanges_for(waits, copy.entrance) for copy, fix in fixes.items() if fix}
    for copy, fix in fixes.items():
        for line in fix:
            wanted[Copy(copy.entrance, tuple(each for each in fix if each != line))] = exchanges_for(
                waits, copy.entrance
            )
    if not wanted:
        return dict(fixes), {}
    copies.say(f"running the fix, and without each of its lines: {len(wanted)} copies")
    observed = await copies.observe(wanted)
    known = copies.file.known
    proven, after = {}, {}
    for copy, fix in fixes.items():
        whole = observed.get(Copy(copy.entrance, fix), {})
        unmet = {each.requirement for each in failing(whole, known)}
        needed = tuple(
            line
            for line in fix
            if {each.requirement for each in failing(observed.get(_without(copy, fix, line), {}), known)} - unmet
        )
        proven[copy], after[copy] = needed, whole
    again = {copy: fix for copy, fix in proven.items() if fix != fixes[copy]}
    if again:
        # Lines that nothing needs one by one may be needed when several are left out.
        rest = {Copy(copy.entrance, fix): exchanges_for(waits, copy.entrance) for copy, fix in again.items() if fix}
        last = await copies.observe(rest)
        for copy, fix in again.items():
            observed_now = last.get(Copy(copy.entrance, fix), {})
            if fix and not failing(observed_now, known):
                after[copy] = observed_now
            else:
                proven[copy] = fixes[copy]
    return proven, after


async def _fixed(
    copies: Copies, wishes: Mapping[Copy, tuple[str, ...]], settings: Sequence[str], waits: Waits
) -> tuple[dict[Copy, tuple[str, ...]], dict[Copy, Observations]]:
    """The fixes as they hold, with what mends what only they uncover, and what was observed with them."""
    fixes, after = await _proven(copies, wishes, waits)
    more = await _completed(copies, fixes, after, settings, waits)
    if not more:
        return fixes, after
    proven, last = await _proven(copies, more, waits)
    return {**fixes, **proven}, {**after, **last}


async def _completed(
    copies: Copies,
    fixes: Mapping[Copy, tuple[str, ...]],
    after: Mapping[Copy, Observations],
    settings: Sequence[str],
    waits: Waits,
) -> dict[Copy, tuple[str, ...]]:
    """The fixes that uncover what they do not mend, with what mends it: a longer timeout ends nothing for nobody."""
    unmet = {copy: {each.requirement for each in failing(after.get(copy, {}), copies.file.known)} for copy in fixes}
    wanted = {
        Copy(copy.entrance, (*fix, line)): exchanges_for(waits, copy.entrance, unmet[copy])
        for copy, fix in fixes.items()
        if unmet[copy]
        for line in settings
        if line not in fix
    }
    if not wanted:
        return {}
    copies.say(f"trying {len(wanted)} settings, each with the fix")
    observed = await copies.observe(wanted)
    found = {}
    for copy, fix in fixes.items():
        rest = tuple(line for line in settings if line not in fix)
        with_fix = {Copy(copy.entrance, (line,)): observed.get(Copy(copy.entrance, (*fix, line)), {}) for line in rest}
        if unmet[copy]:
            added = _smallest(copy, rest, unmet[copy], with_fix)
            found[copy] = tuple(line for line in settings if line in (*fix, *added))
    return found


def _without(copy: Copy, fix: Sequence[str], line: str) -> Copy:
    return Copy(copy.entrance, tuple(each for each in fix if each != line))
