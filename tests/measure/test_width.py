"""How many requests a path takes at a time: on exchanges that are written down, and through a gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lab.judge import Exchanged
from lab.measure.run import ActiveRun
from lab.measure.target import AuditTarget
from lab.measure.width import SHORT, Width, asking, width_of
from lab.model.server import ModelServer
from lab.probe.side_channel import SideChannel
from lab.vocabulary import Requirement, State

from . import made
from .auditing import audit_actively
from .test_run import Gateway, endpoint


def came(starts: Sequence[float | None], status: int | None = None) -> list[Exchanged]:
    """Requests that were asked at once, each of which the model server had after so many seconds; None for never."""
    found = []
    for each, start in zip(asking(len(starts), SHORT), starts, strict=True):
        whole = made.played(each)
        ledger = whole.evidence.ledger
        assert ledger is not None
        assert ledger.finished is not None
        if start is None:
            evidence = replace(whole.evidence, ledger=None, trace=replace(whole.evidence.trace, status=status))
        else:
            moved = replace(ledger, started=ledger.started + start, finished=ledger.finished + start)
            evidence = replace(whole.evidence, ledger=moved)
        found.append(Exchanged.alone(each, evidence))
    return found


@pytest.mark.parametrize(
    ("starts", "status", "width"),
    [
        ([0.0] * 8, None, None),
        ([0.0, 0.2, 0.4, 0.6], None, None),
        ([0.0, 0.0, 1.02, 1.02, 2.04, 2.04], None, Width(2, 6, waited=2.04)),
        ([0.0, 1.0, 2.0, 3.0], None, Width(1, 4, waited=3.0)),
        ([0.0, 0.0, 0.0, None], 503, Width(3, 4, refused=1, status=503)),
        ([None] * 4, 502, None),
        ([number * 0.06 for number in range(60)], None, None),
        # Two workers with two places and a queue each, and five of the six requests at one of them.
        ([0.0, 0.0, 0.0, 1.02, 1.02, 2.04], None, Width(3, 6, waited=2.04)),
        ([0.0, 0.0, 0.0, 1.02, 1.02, 1.02, 1.02], None, None),
    ],
    ids=[
        "all at once",
        "late",
        "two",
        "one",
        "refused",
        "nothing came",
        "one after another",
        "two queues",
        "more than left",
    ],
)
def test_the_width_is_what_ran_at_once_while_others_waited(
    starts: list[float | None], status: int | None, width: Width | None
) -> None:
    """Requests that a busy machine brings late, while the first ones still run, show no limit."""
    found = width_of(came(starts, status))
    if width is None or found is None:
        assert found is width
    else:
        assert replace(found, waited=pytest.approx(width.waited, abs=0.01)) == width
        assert str(width.at_once) in found.words


@pytest.mark.parametrize("width", [3, None])
async def test_the_width_of_a_path_is_found_before_anything_is_asked(width: int | None) -> None:
    """A gateway with three places is one; one with room for all has no width."""
    async with (
        ModelServer() as model,
        Gateway([model.base_url], width=width) as gateway,
        SideChannel(model.base_url) as channel,
    ):
        run = ActiveRun(AuditTarget(endpoint(gateway.url), model_url=model.base_url), 1.5)
        found = await run._find_width(channel, 20)
    assert (None if found is None else found.at_once) == width


@pytest.mark.parametrize(("at_once", "words"), [(1, "takes 1 request at a time"), (4, "takes 4 requests at a time")])
def test_a_width_is_told_in_words(at_once: int, words: str) -> None:
    """One is no plural."""
    assert words in Width(at_once, 10, 5.0).words


@pytest.mark.grid
async def test_a_narrow_path_is_audited_at_its_width() -> None:
    """Four at a time, as gunicorn's four sync workers: right answers, and the width is a finding."""
    async with ModelServer() as model, Gateway([model.base_url], width=4) as gateway:
        target = AuditTarget(endpoint(gateway.url), model_url=model.base_url)
        findings = await audit_actively(target, longest=1.5, at_once=None)
    told = {each.requirement: each.state for each in findings.observations}
    assert told[Requirement.DELIVERS_TOKENS_AS_THEY_COME] is State.MET
    assert told[Requirement.WAITS_FOR_BATCH_REPLIES] is State.MET
    assert findings.smallest is None
    assert findings.never_came == 0
    assert "the path takes 4 requests at a time" in findings.summary
    (effect,) = [each for each in findings.effects if each.name == "takes-every-request-at-once"]
    assert effect.value == 4
