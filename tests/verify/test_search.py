"""Causes and fixes, on a product that is written down: which settings it takes for a requirement to be met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from lab.judge import Observation
from lab.products import PRODUCTS, PROXIES
from lab.products.adapted import Entrance, Mending, Spot
from lab.suite.settle import EVERY_ONE_SETTLES, Waits
from lab.verify import search
from lab.verify.rounds import MOST_LINES, Copy, UserFile, known_of
from lab.verify.search import CONTROLS, Verified, exchanges_for, verify
from lab.vocabulary import Requirement, State

SILENCE, DELIVERY, CUT = (
    Requirement.SURVIVES_SILENCE,
    Requirement.DELIVERS_TOKENS_AS_THEY_COME,
    Requirement.SHOWS_A_CUT_AS_A_CUT,
)
SPOT = Spot(Path("nginx.conf"), 7, "here")
ENTRANCE = Entrance("location /", "/v1/chat/completions", "", secure=False, spot=SPOT)
ONE, TWO, THREE, FOUR = "one on;", "two on;", "three on;", "four on;"

KEPT, HOLDS = (Spot(Path("nginx.conf"), line, text) for line, text in ((8, "kept;"), (9, "holds;")))

Met = Callable[[frozenset[str]], bool]


class File:
    """A user's file of which the second setting stands at a place and the others nowhere; a fourth changes nothing."""

    entrances = (ENTRANCE,)
    tunable = True

    def __init__(self, own: Sequence[Spot] = (KEPT, HOLDS)) -> None:
        self.own = own

    def copy(self, _: Entrance, settings: Sequence[str] = ()) -> str:
        """See `lab.products.adapted.Adapter`."""
        return " ".join(each for each in settings if each != FOUR)

    def replacements(self, _: Entrance) -> tuple[()]:
        """None."""
        return ()

    def lines(self, _: Entrance) -> Sequence[Spot]:
        """See `lab.products.adapted.Adapter`; the last is what keeps tokens back, where anything does."""
        return self.own

    def spot_of(self, _: Entrance, setting: str) -> Spot | None:
        """See `lab.products.adapted.Adapter`."""
        return SPOT if setting == TWO else None


async def verified(
    monkeypatch: pytest.MonkeyPatch,
    product: Mapping[Requirement, Met],
    unmet: Mapping[Requirement, Observation] | None = None,
    known: Mapping[Requirement, str] | None = None,
    file: File | None = None,
) -> Verified:
    """What is found of that file, where its product meets each requirement under these conditions."""
    # Something always comes through.
    product = {Requirement.GENERATES_ONCE: lambda _: True, **product}

    class Copies:
        """What is observed of each copy, by the settings that it has."""

        def __init__(self, file: UserFile, _: object, say: Callable[[str], None]) -> None:
            self.file, self.say = file, say

        async def __aenter__(self) -> Copies:
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def have(self, copies: object) -> None:
            pass

        async def observe(self, wanted: Mapping[Copy, object]) -> dict[Copy, dict[Requirement, Observation]]:
            return {
                copy: {
                    each: Observation(each, State.MET, "", "")
                    if met(frozenset((*copy.settings, *(each.text for each in copy.without))))
                    else (unmet or {}).get(each, Observation(each, State.NOT_MET, "", ""))
                    for each, met in product.items()
                }
                for copy in wanted
            }

        observe_many = observe

    monkeypatch.setattr(search, "Copies", Copies)
    monkeypatch.setattr(search, "settings_of", lambda *_: (ONE, TWO, THREE, FOUR))
    subject = UserFile(Path("nginx.conf"), PROXIES["nginx-1.30"], cast(Any, file or File()), known=known or {})
    (found,) = await verify(subject, Waits(), cast(Any, None), lambda _: None, mend=True)
    return found


async def test_a_file_that_meets_everything_needs_no_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried."""
    found = await verified(monkeypatch, {SILENCE: lambda _: True})
    assert (found.failed, found.fix, found.tried, found.causes) == ([], (), (), {})


async def test_every_setting_that_alone_mends_is_a_cause_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line that it replaces, or that the default holds."""
    found = await verified(monkeypatch, {SILENCE: lambda settings: bool({ONE, TWO} & settings), CUT: lambda _: True})
    assert found.causes == {SILENCE: (Mending(ONE, None), Mending(TWO, SPOT))}
    assert len(found.fix) == 1


async def test_the_fix_is_the_fewest_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line mends both; two others would too."""
    product: dict[Requirement, Met] = {
        SILENCE: lambda settings: bool({ONE, TWO} & settings),
        DELIVERY: lambda settings: bool({TWO, THREE} & settings),
    }
    found = await verified(monkeypatch, product)
    assert (found.fix, found.whole) == ((TWO,), True)


async def test_what_only_two_lines_mend_together_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither alone is a cause; the line that nothing needs is left out."""
    found = await verified(monkeypatch, {DELIVERY: lambda settings: {ONE, THREE} <= settings})
    assert found.causes == {DELIVERY: ()}
    assert (found.fix, found.whole) == ((ONE, THREE), True)


async def test_a_fix_that_costs_another_requirement_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was met before must be met with it."""
    product: dict[Requirement, Met] = {
        SILENCE: lambda settings: ONE in settings,
        CUT: lambda settings: ONE not in settings,
    }
    assert not (await verified(monkeypatch, product)).whole


async def test_what_seems_to_mend_once_is_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that fails now and then was met by luck; the setting that mends is met each time."""
    asked: Counter[frozenset[str]] = Counter()

    def now_and_then(settings: frozenset[str]) -> bool:
        asked[settings] += 1
        return TWO in settings or (settings == {ONE} and asked[settings] == 1)

    found = await verified(monkeypatch, {DELIVERY: now_and_then})
    assert found.causes == {DELIVERY: (Mending(TWO, SPOT),)}
    assert found.fix == (TWO,)


@pytest.mark.parametrize("again", [False, True])
async def test_what_the_file_fails_once_no_change_mends(monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """Whatever is tried after it seems to; where the file fails again beside the change, that is the cause."""
    asked: Counter[frozenset[str]] = Counter()

    def by_chance(settings: frozenset[str]) -> bool:
        asked[settings] += 1
        if settings:
            return settings != {FOUR}
        # The last of the times that it is asked beside a change.
        return asked[settings] > 1 and not (again and asked[settings] == CONTROLS + 1)

    found = await verified(monkeypatch, {DELIVERY: by_chance, SILENCE: lambda settings: TWO in settings})
    assert found.chance == (frozenset() if again else {DELIVERY})
    assert found.causes[SILENCE] == (Mending(TWO, SPOT),)
    assert [cause.setting for cause in found.causes[DELIVERY]] == ([ONE, TWO, THREE] if again else [])
    # No line of the file was left out to find it.
    assert found.tried == (ONE, TWO, THREE)
    assert (found.fix, found.whole) == ((TWO,), True)


async def test_no_fix_is_for_what_fails_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may fail again with the fix, which is whole for all that."""
    asked: Counter[frozenset[str]] = Counter()

    def by_chance(settings: frozenset[str]) -> bool:
        asked[settings] += 1
        return asked[settings] > 1 if not settings else settings != {TWO} or asked[settings] <= 1 + CONTROLS

    found = await verified(monkeypatch, {DELIVERY: by_chance, SILENCE: lambda settings: TWO in settings})
    assert found.chance == {DELIVERY}
    assert found.after[DELIVERY].state is State.NOT_MET
    assert (found.fix, found.whole, found.only_by_chance) == ((TWO,), True, False)


@pytest.mark.parametrize("state", [State.NOT_MET, State.INCONCLUSIVE])
async def test_what_is_not_met_each_time_is_no_chance(monkeypatch: pytest.MonkeyPatch, state: State) -> None:
    """All that is asked together may be too much, and where a machine was late nobody knows."""
    asked: Counter[frozenset[str]] = Counter()
    # The last of the times that it is asked beside settings, and beside lines; or the one after, with all there is.
    bad = (CONTROLS + 2,) if state is State.NOT_MET else (CONTROLS + 1, 2 * CONTROLS + 1)
    unmet: dict[Requirement, Observation] = {}

    def fails(settings: frozenset[str]) -> bool:
        asked[settings] += 1
        again = state if asked[settings] > 1 else State.NOT_MET
        unmet[DELIVERY] = Observation(DELIVERY, again, "", "", doubt="late" if again is State.INCONCLUSIVE else "")
        return bool(settings) or asked[settings] not in (1, *bad)

    found = await verified(monkeypatch, {DELIVERY: fails}, unmet)
    assert (found.chance, found.causes) == (frozenset(), {DELIVERY: ()})


async def test_what_a_fix_uncovers_is_mended_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model goes on for nobody once no timeout ends it: the second line is needed only with the first."""
    product: dict[Requirement, Met] = {
        SILENCE: lambda settings: ONE in settings,
        CUT: lambda settings: ONE not in settings or THREE in settings,
    }
    found = await verified(monkeypatch, product)
    assert (found.fix, found.whole) == ((ONE, THREE), True)


async def test_where_nothing_mends_there_is_no_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what was tried, and what would change nothing was not."""
    found = await verified(monkeypatch, {DELIVERY: lambda _: False})
    assert not found.whole
    assert found.tried == (ONE, TWO, THREE, KEPT, HOLDS)


async def test_a_line_without_which_it_is_met_is_the_cause_where_no_setting_mends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is named, and goes, beside the setting that mends something else; where one mends, no line is left out."""
    product: dict[Requirement, Met] = {
        SILENCE: lambda changes: ONE in changes,
        DELIVERY: lambda changes: HOLDS.text in changes,
    }
    found = await verified(monkeypatch, product)
    assert found.causes == {SILENCE: (Mending(ONE, None),), DELIVERY: (Mending("", HOLDS),)}
    assert (found.fix, found.whole) == ((ONE, HOLDS), True)
    found = await verified(monkeypatch, {DELIVERY: lambda changes: bool({ONE, HOLDS.text} & changes)})
    assert (found.causes, found.fix) == ({DELIVERY: (Mending(ONE, None),)}, (ONE,))


async def test_of_a_file_with_very_many_lines_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be a copy, and a process of the product's."""
    long = File([Spot(Path("nginx.conf"), number, f"{number};") for number in range(MOST_LINES + 1)])
    found = await verified(monkeypatch, {DELIVERY: lambda _: False}, file=long)
    assert found.tried == (ONE, TWO, THREE)


async def test_what_no_file_of_the_product_meets_is_no_failure_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart, nothing is tried for it, and a fix is whole without it."""
    never: Mapping[Requirement, Met] = {CUT: lambda _: False}
    found = await verified(monkeypatch, never, known={CUT: "it never does"})
    assert (found.failed, found.tried, [each.requirement for each in found.unmeetable]) == ([], (), [CUT])
    found = await verified(monkeypatch, {**never, SILENCE: lambda settings: ONE in settings}, known={CUT: "never"})
    assert (found.fix, found.whole) == ((ONE,), True)
    assert set(found.causes) == {SILENCE}
    # Where this one meets it, there is nothing to tell.
    assert (await verified(monkeypatch, {CUT: lambda _: True}, known={CUT: "never"})).unmeetable == []


def test_what_no_file_meets_is_what_the_scenario_holds_the_product_to() -> None:
    """The same table by which `lab run` takes it for known."""
    assert set(known_of(PRODUCTS["apache"])) == {Requirement.STOPS_WHEN_THE_CLIENT_LEAVES}
    assert [name for name, each in PRODUCTS.items() if known_of(each)] == ["apache"]


async def test_what_the_path_keeps_from_being_told_is_mended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was too long for it, say; what the lab was too late to tell is no reason to try anything."""
    untold = Observation(DELIVERY, State.INCONCLUSIVE, "", "one of six shows nothing")
    late = Observation(CUT, State.INCONCLUSIVE, "", "", doubt="the probe was late")
    found = await verified(
        monkeypatch, {DELIVERY: lambda settings: ONE in settings, CUT: lambda _: False}, {DELIVERY: untold, CUT: late}
    )
    assert (found.failed, found.untold) == ([untold], [late])
    assert found.causes == {DELIVERY: (Mending(ONE, None),)}
    assert found.fix == (ONE,)


async def test_where_nothing_comes_through_no_setting_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers is not the model, or not to that path, host or header."""
    found = await verified(monkeypatch, {each: lambda _: False for each in Requirement})
    assert (found.tried, found.causes, found.whole) == ((), {}, False)


@pytest.mark.parametrize("requirement", [SILENCE, CUT])
def test_only_what_settles_a_requirement_is_asked_again(requirement: Requirement) -> None:
    """And everything, for what every exchange helps to settle."""
    some = exchanges_for(Waits(), ENTRANCE, [requirement])
    assert {requirement} == {each.requirements[0] for each in some} & {SILENCE, CUT, DELIVERY}
    assert {one for each in some for one in each.requirements} == {requirement}
    every = [each.name for each in exchanges_for(Waits(), ENTRANCE)]
    assert [each.name for each in exchanges_for(Waits(), ENTRANCE, EVERY_ONE_SETTLES[:1])] == every
    assert len(some) < len(exchanges_for(Waits(), ENTRANCE))
