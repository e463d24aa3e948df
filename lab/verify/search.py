"""What in a user's file breaks a requirement, and the fewest changes that mend it: found by trying, on copies of it.

Strategy. The settings that are known to mend something are tried first, each alone. Only where none of them mends a
requirement, each of the user's own lines is left out by itself: whatever does it, it stands there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from lab.evidence import HttpVersion
from lab.judge import Observation, Observations
from lab.products.adapted import Change, Entrance, Mending, Replacement, Spot
from lab.products.remedies import settings_of
from lab.suite.exchange import Exchange
from lab.suite.settle import Waits, suite
from lab.testbed.engine import Say
from lab.testbed.supply import Supply
from lab.verify.rounds import AT_ONCE, MOST_LINES, Copies, Copy, UserFile, failing
from lab.vocabulary import Requirement, State

CONTROLS = 3
"""Times that the file is asked again as it is, beside what seems to mend it."""


BY_CHANCE = f"met {CONTROLS} times when asked again as it is: it fails now and then, and no line was found to blame"
"""Of what fails by chance, in words."""


@dataclass(frozen=True)
class Verified:
    """One entrance of a user's file.

    Args:
        entrance: which.
        observations: of the file as it is.
        causes: by requirement that is not met, each change that alone mends it.
        fix: the fewest changes with which everything is met that any of those that were tried mends.
        after: what was observed with them; empty where there are none.
        tried: the changes that were tried.
        replaced: what the copy has otherwise than the file.
        known: what no configuration of the product meets, each with the reason.
        chance: what failed, and was met each time that the file was asked again as it is.
    """

    entrance: Entrance
    observations: Observations
    causes: Mapping[Requirement, tuple[Mending, ...]]
    fix: tuple[Change, ...]
    after: Observations
    tried: tuple[Change, ...]
    replaced: tuple[Replacement, ...]
    known: Mapping[Requirement, str] = field(default_factory=dict)
    chance: frozenset[Requirement] = frozenset()

    @property
    def failed(self) -> list[Observation]:
        """What is not met and could be, or is not to be told for the path's own sake."""
        return failing(self.observations, self.known)

    def why(self, observation: Observation) -> str:
        """What bears one of the observations out, and whether it failed by chance."""
        chance = observation.requirement in self.chance
        return f"{observation.evidence}; {BY_CHANCE}" if chance else observation.evidence

    @property
    def only_by_chance(self) -> bool:
        """Whether something failed, and none of it when it was asked again."""
        return bool(self.failed) and self.chance.issuperset(each.requirement for each in self.failed)

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
            and not failing(self.after, {*self.known, *self.chance})
            and all(_mends(self.after, each) for each in self.causes if each not in self.chance)
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
        mend: whether to look for the fewest changes with which everything is met.

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
        changes, alone, chance = await _tried(copies, failed, settings, waits)
        caused = {copy: some - chance[copy] for copy, some in failed.items()}
        wishes = {copy: _smallest(copy, changes[copy], caused[copy], alone) for copy in plain if caused[copy] and mend}
        fixes, after = await _fixed(copies, wishes, changes, chance, waits)
    return [
        Verified(
            copy.entrance,
            first[copy],
            {each: _causes(file, copy, each, changes[copy], alone) for each in first[copy] if each in failed[copy]},
            fixes.get(copy, ()),
            after.get(copy, {}),
            changes[copy],
            tuple(file.adapter.replacements(copy.entrance)),
            file.known,
            frozenset(chance[copy]),
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


async def _tried(
    copies: Copies, failed: Mapping[Copy, set[Requirement]], settings: Sequence[str], waits: Waits
) -> tuple[dict[Copy, tuple[Change, ...]], dict[Copy, Observations], dict[Copy, set[Requirement]]]:
    """The changes that were tried of each copy, what is observed with each alone, and what failed by chance."""
    changes: dict[Copy, tuple[Change, ...]] = {copy: tuple(settings) if some else () for copy, some in failed.items()}
    sought = {Copy(copy.entrance, (line,)): some for copy, some in failed.items() for line in settings}
    alone, chance = await _seen_twice(copies, sought, waits)
    without: dict[Copy, set[Requirement]] = {}
    for copy, some in failed.items():
        unmended = some - chance[copy] - _mended(copy, settings, alone)
        lines = copies.file.adapter.lines(copy.entrance) if unmended else ()
        if len(lines) <= MOST_LINES:
            changes[copy] += tuple(lines)
            without.update({Copy(copy.entrance, without=(line,)): unmended for line in lines})
    more, by_chance = await _seen_twice(copies, without, waits)
    chance = {copy: chance[copy] | by_chance[copy] for copy in failed}
    # What fails again beside all that is asked is no chance: some of that together may be too much for the path.
    whole = await copies.observe({copy: exchanges_for(waits, copy.entrance) for copy in failed if chance[copy]})
    for copy, observed in whole.items():
        chance[copy] = {each for each in chance[copy] if _mends(observed, each)}
    return changes, alone | more, chance


async def _seen_twice(
    copies: Copies, sought: Mapping[Copy, AbstractSet[Requirement]], waits: Waits
) -> tuple[dict[Copy, Observations], dict[Copy, set[Requirement]]]:
    """What is observed of copies, of what is sought of each, and what the file as it is failed by chance.

    A path may fail a requirement now and then, and then whatever is tried next seems to mend it. HAProxy 3.2 over TLS
    was seen to hold tokens in one to three of eight streams, and for once in none; before another Apache one of some
    hundred requests is lost. So what one seems to mend is looked at once more, beside the file as it is: a change that
    mends is met again where that fails again.
    """
    chance: dict[Copy, set[Requirement]] = defaultdict(set)
    wanted = {copy: exchanges_for(waits, copy.entrance, some) for copy, some in sought.items() if some}
    if not wanted:
        return {}, chance
    copies.say(f"trying {len(wanted)} changes, each alone")
    first = await copies.observe_many(wanted)
    found = {copy: dict(observed) for copy, observed in first.items()}
    seeming = {copy: {each for each in sought[copy] if _mends(observed, each)} for copy, observed in found.items()}
    met_again: Counter[tuple[Copy, Requirement]] = Counter()
    for _ in range(CONTROLS):
        seeming = {copy: some for copy, some in seeming.items() if some}
        if not seeming:
            break
        copies.say(f"trying {len(seeming)} of them once more, and the file as it is")
        controls: dict[Copy, set[Requirement]] = defaultdict(set)
        for copy, some in seeming.items():
            controls[Copy(copy.entrance)] |= some
        asked = {copy: exchanges_for(waits, copy.entrance, some) for copy, some in (seeming | controls).items()}
        again = await copies.observe(asked)
        met_again.update((copy, each) for copy, some in controls.items() for each in some if _mends(again[copy], each))
        for copy, some in seeming.items():
            found[copy] |= {each: again[copy][each] for each in some if each in again.get(copy, {})}
            failed = {each.requirement for each in failing(again[Copy(copy.entrance)])}
            seeming[copy] = {each for each in some if _mends(found[copy], each)} - failed
    for copy, some in seeming.items():
        chance[Copy(copy.entrance)] |= {each for each in some if met_again[Copy(copy.entrance), each] == CONTROLS}
        for each in some:
            del found[copy][each]
    return dict(found), chance


def _mends(observed: Observations | None, requirement: Requirement) -> bool:
    return observed is not None and requirement in observed and observed[requirement].state is State.MET


Alone = Mapping[Copy, Observations]
"""What was observed of the copies with one change."""

Chance = Mapping[Copy, AbstractSet[Requirement]]
"""What failed by chance, of each file as it is: no fix is for it."""


def _mended(copy: Copy, changes: Iterable[Change], alone: Alone) -> set[Requirement]:
    """What one of these changes mends by itself."""
    observed = [alone.get(Copy.changed(copy.entrance, [change]), {}) for change in changes]
    return {each for found in observed for each in found if _mends(found, each)}


def _causes(
    file: UserFile, copy: Copy, requirement: Requirement, changes: Sequence[Change], alone: Alone
) -> tuple[Mending, ...]:
    causes = []
    for change in changes:
        if requirement not in _mended(copy, [change], alone):
            continue
        if isinstance(change, Spot):
            causes.append(Mending("", change))
        else:
            causes.append(Mending(change, file.adapter.spot_of(copy.entrance, change)))
    return tuple(causes)


def _smallest(
    copy: Copy, changes: tuple[Change, ...], failed: Iterable[Requirement], alone: Alone
) -> tuple[Change, ...]:
    """Changes that mend together whatever one of them mends: those first that mend most; of lines, the inner one."""
    left = set(failed)
    mended = {change: _mended(copy, [change], alone) for change in changes}
    chosen: list[Change] = []
    while any(mended[change] & left for change in changes):
        most = max(len(mended[change] & left) for change in changes)
        alike = [change for change in changes if len(mended[change] & left) == most]
        best = next((change for change in alike if isinstance(change, str)), alike[-1])
        chosen.append(best)
        left -= mended[best]
    # What none mends alone, some settings may together.
    return tuple(change for change in changes if change in chosen or (left and isinstance(change, str)))


async def _proven(
    copies: Copies, fixes: Mapping[Copy, tuple[Change, ...]], chance: Chance, waits: Waits
) -> tuple[dict[Copy, tuple[Change, ...]], dict[Copy, Observations]]:
    """The fixes as they hold: run as a whole, and without each of their lines, which something has to need."""
    wanted = {
        Copy.changed(copy.entrance, fix): exchanges_for(waits, copy.entrance) for copy, fix in fixes.items() if fix
    }
    for copy, fix in fixes.items():
        for change in fix:
            wanted[_without(copy, fix, change)] = exchanges_for(waits, copy.entrance)
    if not wanted:
        return dict(fixes), {}
    copies.say(f"running the fix, and without each of its lines: {len(wanted)} copies")
    observed = await copies.observe(wanted)
    proven, after = {}, {}
    for copy, fix in fixes.items():
        known = {*copies.file.known, *chance[copy]}
        whole = observed.get(Copy.changed(copy.entrance, fix), {})
        unmet = {each.requirement for each in failing(whole, known)}
        needed = tuple(
            change
            for change in fix
            if {each.requirement for each in failing(observed.get(_without(copy, fix, change), {}), known)} - unmet
        )
        proven[copy], after[copy] = needed, whole
    again = {copy: fix for copy, fix in proven.items() if fix != fixes[copy]}
    if again:
        # Lines that nothing needs one by one may be needed when several are left out.
        rest = {
            Copy.changed(copy.entrance, fix): exchanges_for(waits, copy.entrance) for copy, fix in again.items() if fix
        }
        last = await copies.observe(rest)
        for copy, fix in again.items():
            observed_now = last.get(Copy.changed(copy.entrance, fix), {})
            if fix and not failing(observed_now, {*copies.file.known, *chance[copy]}):
                after[copy] = observed_now
            else:
                proven[copy] = fixes[copy]
    return proven, after


async def _fixed(
    copies: Copies,
    wishes: Mapping[Copy, tuple[Change, ...]],
    changes: Mapping[Copy, Sequence[Change]],
    chance: Chance,
    waits: Waits,
) -> tuple[dict[Copy, tuple[Change, ...]], dict[Copy, Observations]]:
    """The fixes as they hold, with what mends what only they uncover, and what was observed with them."""
    fixes, after = await _proven(copies, wishes, chance, waits)
    more = await _completed(copies, fixes, after, changes, chance, waits)
    if not more:
        return fixes, after
    proven, last = await _proven(copies, more, chance, waits)
    return {**fixes, **proven}, {**after, **last}


async def _completed(
    copies: Copies,
    fixes: Mapping[Copy, tuple[Change, ...]],
    after: Mapping[Copy, Observations],
    changes: Mapping[Copy, Sequence[Change]],
    chance: Chance,
    waits: Waits,
) -> dict[Copy, tuple[Change, ...]]:
    """The fixes that uncover what they do not mend, with what mends it: a longer timeout ends nothing for nobody."""
    unmet = {
        copy: {each.requirement for each in failing(after.get(copy, {}), {*copies.file.known, *chance[copy]})}
        for copy in fixes
    }
    wanted = {
        Copy.changed(copy.entrance, (*fix, change)): exchanges_for(waits, copy.entrance, unmet[copy])
        for copy, fix in fixes.items()
        if unmet[copy]
        for change in changes[copy]
        if change not in fix
    }
    if not wanted:
        return {}
    copies.say(f"trying {len(wanted)} changes, each with the fix")
    observed = await copies.observe_many(wanted)
    found = {}
    for copy, fix in fixes.items():
        rest = tuple(change for change in changes[copy] if change not in fix)
        with_fix = {
            Copy.changed(copy.entrance, [change]): observed.get(Copy.changed(copy.entrance, (*fix, change)), {})
            for change in rest
        }
        if unmet[copy]:
            added = _smallest(copy, rest, unmet[copy], with_fix)
            found[copy] = tuple(change for change in changes[copy] if change in (*fix, *added))
    return found


def _without(copy: Copy, fix: Sequence[Change], change: Change) -> Copy:
    return Copy.changed(copy.entrance, [each for each in fix if each != change])
