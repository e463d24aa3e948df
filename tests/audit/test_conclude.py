"""Conclusions as a whole: endings, clocks, the guilty hop, durations, problems, and that all of it is plain data."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from lab.audit.conclude import Conclusions, Confidence, EndingFinding, Severity, conclude
from lab.audit.samples import Sample
from lab.evidence import TransportEnd
from lab.wire import format_named
from lab.words import Cause, Delivery, Ending

from .stranger import HEADERS, batching, holding, sample, steady, straight, writes

STEADY = steady(60, 0.04)


def ending(made: Sample) -> EndingFinding:
    """How one answer ended."""
    return conclude([made], longest=None).samples[0].ending


class TestEndings:
    def test_a_marker_makes_it_complete_as_far_as_a_client_can_know(self) -> None:
        """The reason names what no client can see."""
        found = ending(sample(writes(STEADY)))
        assert (found.ending, found.confidence) == (Ending.COMPLETE, Confidence.CERTAIN)
        assert "no client can see" in found.reason

    def test_a_broken_framing_is_a_cut(self) -> None:
        """Every client can see it."""
        found = ending(sample(writes(STEADY, marker=False), end=TransportEnd.SHORT_FIN))
        assert (found.ending, found.confidence) == (Ending.CUT, Confidence.CERTAIN)

    def test_a_clean_end_without_the_marker_is_silently_truncated(self) -> None:
        """The format has a marker, and it did not come."""
        assert ending(sample(writes(STEADY, marker=False))).ending is Ending.SILENTLY_TRUNCATED

    @pytest.mark.parametrize("end", [TransportEnd.FRAMED, TransportEnd.CLOSED])
    def test_a_format_without_a_marker_leaves_it_open(self, end: TransportEnd) -> None:
        """An end and a clean cut look the same."""
        found = ending(sample(writes(STEADY, wire="sse", marker=False), wire="sse", end=end))
        assert not format_named("sse").has_marker
        assert (found.ending, found.confidence) == (None, Confidence.CANNOT_TELL)
        assert "no terminal marker" in found.reason


class TestClocks:
    @staticmethod
    def dying(*moments: float) -> Conclusions:
        """Answers that are cut amid running tokens, at those times."""
        made = [
            sample(writes(steady(int((at - 0.5) / 0.04), 0.04), marker=False), end=TransportEnd.SHORT_FIN, ended=at)
            for at in moments
        ]
        return conclude(made, longest=None)

    def test_deaths_at_one_time_look_like_a_clock(self) -> None:
        """Thirty seconds each time, whatever came before."""
        (clock,) = self.dying(30.0, 30.2, 30.1).clocks
        assert clock.cause is Cause.TOTAL_CLOCK
        assert clock.value == pytest.approx(30.0)
        assert "looks like" in clock.sentence

    def test_scattered_deaths_look_like_faults(self) -> None:
        """No clock has three values."""
        (clock,) = self.dying(11.0, 30.0, 47.0).clocks
        assert clock.cause is None
        assert "faults" in clock.sentence

    def test_one_death_tells_nothing(self) -> None:
        """It lies on a clock of any kind."""
        (clock,) = self.dying(30.0).clocks
        assert clock.cause is None


class TestWays:
    @staticmethod
    def found() -> Conclusions:
        """The model streams, the inner hop streams, the outer one holds for 200 ms, and the path passes that on."""
        nginx = (*HEADERS, ("server", "nginx/1.26.3"))
        ways = (("path", holding(0.2)), ("outer", holding(0.2)), ("inner", straight), ("direct", straight))
        return conclude(
            [sample(path(writes(STEADY)), way=way, headers=nginx) for _ in range(3) for way, path in ways], longest=None
        )

    def test_the_guilty_hop_is_the_first_that_is_worse_than_the_one_behind(self) -> None:
        """What lies further out only passes it on."""
        assert self.found().guilty == "outer"

    def test_what_each_way_adds(self) -> None:
        """From the model outward, each with the one behind it and its later first token."""
        steps = [(step.way, step.behind, round(step.first_token or 0, 3)) for step in self.found().added]
        assert steps == [("inner", "direct", 0.0), ("outer", "inner", 0.2), ("path", "outer", 0.0)]

    def test_a_way_that_dies_where_the_one_behind_does_not_is_guilty(self) -> None:
        """Endings count as well as delivery."""
        cut = [sample(writes(STEADY[:20], marker=False), end=TransportEnd.RESET) for _ in range(2)]
        assert conclude([*cut, *[sample(writes(STEADY), way="direct")] * 2], longest=None).guilty == "path"


def test_a_held_path_fails_with_the_tested_lines_of_its_product() -> None:
    """The problem names the delivery, and the remedy quotes nginx's snippet."""
    nginx = (*HEADERS, ("server", "nginx/1.26.3"))
    found = conclude([sample(batching(writes(STEADY)), headers=nginx)] * 3, longest=None)
    assert found.failed
    assert found.problems[0].severity is Severity.FAILURE
    assert "batched" in found.problems[0].sentence
    assert "`proxy_buffering off;`" in found.problems[0].remedy
    assert "batched" in found.verdict


def test_clumps_a_hold_of_haproxys_apart_bring_its_option() -> None:
    """HAProxy writes no header, but its 200 ms are its own; the remedy quotes the line that ends them."""
    found = conclude([sample(holding(0.2)(writes(STEADY)))] * 3, longest=None)
    assert found.groups[0].delivery.delivery is Delivery.COALESCED
    assert "`option http-no-delay`" in found.problems[0].remedy


def test_a_streaming_path_has_no_problem() -> None:
    """Three whole answers, one token after another."""
    found = conclude([sample(writes(STEADY))] * 3, longest=None)
    assert found.groups[0].delivery.delivery is Delivery.INCREMENTAL
    assert found.problems == ()
    assert not found.failed


@pytest.mark.parametrize(("longest", "enough"), [(2.0, True), (600.0, False)])
def test_which_durations_were_proven(longest: float, *, enough: bool) -> None:
    """Answers of 2.86 s prove two seconds and not ten minutes; what is not proven is a warning and no failure."""
    found = conclude([sample(writes(STEADY))] * 2, longest=longest)
    assert found.proven.total == pytest.approx(2.86, abs=0.01)
    assert found.proven.enough is enough
    assert found.failed is False
    assert bool(found.problems) is not enough


def test_it_is_plain_data() -> None:
    """Conclusions come back from JSON as they went."""
    adapter = TypeAdapter(Conclusions)
    found = TestWays.found()
    assert adapter.validate_json(adapter.dump_json(found)) == found


def test_nothing_comes_of_nothing() -> None:
    """Without a sample there is a verdict that says so."""
    assert "nothing is known" in conclude([], longest=None).verdict
