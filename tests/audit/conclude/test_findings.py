"""Conclusions as a whole: endings, timeouts, the culprit, durations, problems, and that all of it is plain data."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from lab.audit.conclude.findings import Conclusions, Confidence, EndingFinding, Severity, conclude
from lab.audit.conclude.problems import acceptable
from lab.endpoint.samples import Sample
from lab.evidence import TransportEnd
from lab.vocabulary import Cause, Delivery, Ending
from lab.wire import format_named

from ..foreign import HEADERS, batching, holding, sample, steady, straight, writes

STEADY = steady(60, 0.04)


def ending(made: Sample) -> EndingFinding:
    """How one answer ended."""
    return conclude([made], longest=None).samples[0].ending


class TestEndings:
    def test_a_marker_makes_it_complete_as_far_as_a_client_can_know(self) -> None:
        """A reply says nothing of a marker that was put on a prefix, so it is likely, and the reason names that."""
        found = ending(sample(writes(STEADY)))
        assert (found.ending, found.confidence) == (Ending.COMPLETE, Confidence.LIKELY)
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

    def test_an_error_in_the_stream_is_quoted(self) -> None:
        """Whoever looks for the cause needs the model's own words."""
        said = b'data: {"error":{"message":"overloaded, come back later","type":"server_error"}}\n\n'
        found = ending(sample([*writes(STEADY, marker=False), (3.0, said)]))
        assert found.ending is Ending.MODEL_ERROR_IN_STREAM
        assert found.reason.endswith("it says: overloaded, come back later")

    def test_what_the_audit_left_is_not_called_its_patience(self) -> None:
        """A flood is left for its size, and the reason says so."""
        made = sample(writes(STEADY, marker=False), end=TransportEnd.LEFT)
        trace = replace(made.evidence.trace, detail="more than 16,777,216 bytes of body")
        found = ending(replace(made, evidence=replace(made.evidence, trace=trace)))
        assert "the audit itself stopped reading after 2.86 s: more than 16,777,216 bytes of body" in found.reason
        assert "patience" not in found.reason


class TestTimeouts:
    @staticmethod
    def dying(*times: float) -> Conclusions:
        """Answers that are cut amid running tokens, at those times."""
        made = [
            sample(writes(steady(int((at - 0.5) / 0.04), 0.04), marker=False), end=TransportEnd.SHORT_FIN, ended=at)
            for at in times
        ]
        return conclude(made, longest=None)

    def test_terminations_at_one_time_look_like_a_timeout(self) -> None:
        """Thirty seconds each time, whatever came before."""
        (timeout,) = self.dying(30.0, 30.2, 30.1).timeouts
        assert timeout.cause is Cause.TOTAL_TIMEOUT
        assert timeout.value == pytest.approx(30.0)
        assert "looks like" in timeout.sentence

    def test_scattered_terminations_look_like_faults(self) -> None:
        """No timeout has three values."""
        (timeout,) = self.dying(11.0, 30.0, 47.0).timeouts
        assert timeout.cause is None
        assert "faults" in timeout.sentence

    @pytest.mark.parametrize(("at", "advice"), [(0.6, "no timeout's doing"), (30.0, "If it is a timeout, raise it")])
    def test_the_remedy_of_a_termination_fits_its_moment(self, at: float, advice: str) -> None:
        """Nobody sets a timeout of half a second, so raising it would mend nothing."""
        (problem,) = [each for each in self.dying(at).problems if "ended cut" in each.sentence]
        assert advice in problem.remedy

    @pytest.mark.parametrize(("status", "advice"), [(502, "no timeout's doing"), (504, "`proxy_read_timeout")])
    def test_the_remedy_of_an_error_page_fits_its_status(self, status: int, advice: str) -> None:
        """A 504 is nginx's own timeout however early; a 502 at once says that nobody answered it."""
        page = b"<hr><center>nginx/1.26.3</center>"
        found = conclude([sample([(0.1, page)], status=status, headers=(("content-type", "text/html"),))], longest=None)
        assert advice in found.problems[0].remedy

    def test_one_termination_tells_nothing(self) -> None:
        """It lies on a timeout of any kind."""
        (timeout,) = self.dying(30.0).timeouts
        assert timeout.cause is None


class TestWays:
    @staticmethod
    def found() -> Conclusions:
        """The model streams, the inner hop streams, the outer one holds for 200 ms, and the path passes that on."""
        nginx = (*HEADERS, ("server", "nginx/1.26.3"))
        routes = (("path", holding(0.2)), ("outer", holding(0.2)), ("inner", straight), ("direct", straight))
        return conclude(
            [sample(path(writes(STEADY)), route=route, headers=nginx) for _ in range(3) for route, path in routes],
            longest=None,
        )

    def test_the_culprit_is_the_first_that_is_worse_than_the_one_behind(self) -> None:
        """What lies further out only passes it on."""
        assert self.found().culprit == "outer"

    def test_what_each_route_adds(self) -> None:
        """From the model outward, each with the one behind it and its later first token."""
        steps = [(step.route, step.behind, round(step.first_token or 0, 3)) for step in self.found().added]
        assert steps == [("inner", "direct", 0.0), ("outer", "inner", 0.2), ("path", "outer", 0.0)]
        assert self.found().added[1].sentence.startswith("over HTTP/1.1 outer delivers coalesced, inner behind it incr")

    def test_a_route_that_dies_where_the_one_behind_does_not_is_the_culprit(self) -> None:
        """Endings count as well as delivery."""
        cut = [sample(writes(STEADY[:20], marker=False), end=TransportEnd.RESET) for _ in range(2)]
        assert conclude([*cut, *[sample(writes(STEADY), route="direct")] * 2], longest=None).culprit == "path"


def test_a_held_path_fails_with_the_tested_lines_of_its_product() -> None:
    """The problem names the delivery, and the remedy quotes nginx's snippet."""
    nginx = (*HEADERS, ("server", "nginx/1.26.3"))
    found = conclude([sample(batching(writes(STEADY)), headers=nginx)] * 3, longest=None)
    assert found.failed
    assert found.problems[0].severity is Severity.FAILURE
    assert "batched" in found.problems[0].sentence
    assert "`proxy_buffering off;`" in found.problems[0].remedy
    assert "batched" in found.verdict


def test_bursts_a_hold_of_haproxys_apart_bring_its_option() -> None:
    """HAProxy writes no header, but its 200 ms are its own; the remedy quotes the line that ends them."""
    found = conclude([sample(holding(0.2)(writes(STEADY)))] * 3, longest=None)
    assert found.groups[0].delivery.delivery is Delivery.COALESCED
    assert "`option http-no-delay`" in found.problems[0].remedy


def test_a_product_that_names_itself_is_not_told_anothers_settings() -> None:
    """Apache can make the same rhythm; HAProxy's option means nothing to it."""
    apache = (*HEADERS, ("server", "Apache/2.4.62 (Debian)"))
    found = conclude([sample(holding(0.2)(writes(STEADY)), headers=apache)] * 3, longest=None)
    assert found.groups[0].delivery.delivery is Delivery.COALESCED
    assert "HAProxy" not in found.problems[0].remedy
    assert "http-no-delay" not in found.problems[0].remedy


def test_a_rhythm_alone_names_no_product() -> None:
    """HAProxy's line stands under an "if"."""
    found = conclude([sample(holding(0.2)(writes(STEADY)))] * 3, longest=None)
    assert "If it is HAProxy: `option http-no-delay`" in found.problems[0].remedy


def test_a_silence_counts_only_if_a_token_came_after_it() -> None:
    """Three seconds of tokens and a minute of nothing until the audit left prove three seconds."""
    hung = sample(writes(STEADY, marker=False), end=TransportEnd.MIDDLE_TIMEOUT, ended=STEADY[-1] + 60)
    found = conclude([hung], longest=None).proven
    assert found.total == pytest.approx(STEADY[-1], abs=0.01)
    assert found.silence < 1.0


def test_the_same_failure_in_several_settings_is_said_once() -> None:
    """One problem names all settings in which it shows."""
    held = [sample(batching(writes(STEADY)))] * 3
    offered = [replace(one, setting=replace(one.setting, accept_encoding="gzip")) for one in held]
    failures = [one for one in conclude([*held, *offered], longest=None).problems if one.severity is Severity.FAILURE]
    assert len(failures) == 1
    assert "with and without a content coding offered" in failures[0].asked


def test_a_streaming_path_has_no_problem() -> None:
    """Three whole answers, one token after another."""
    found = conclude([sample(writes(STEADY))] * 3, longest=None)
    assert found.groups[0].delivery.delivery is Delivery.INCREMENTAL
    assert found.problems == ()
    assert not found.failed


def flushed(times: list[float]) -> Sample:
    """A stream that is compressed and flushed with every token."""
    press = zlib.compressobj(wbits=31)
    reads = [(time, press.compress(data) + press.flush(zlib.Z_SYNC_FLUSH)) for time, data in writes(times)]
    reads.append((times[-1], press.flush()))
    return sample(reads, headers=(*HEADERS, ("content-encoding", "gzip")))


class TestCodings:
    def test_an_unasked_coding_that_holds_nothing_is_a_warning(self) -> None:
        """Without Accept-Encoding HTTP allows any coding; some clients cannot read it all the same."""
        found = conclude([flushed(STEADY)] * 3, longest=None)
        assert found.groups[0].delivery.delivery is Delivery.INCREMENTAL
        assert not found.failed
        (said,) = [problem for problem in found.problems if "no content coding was offered" in problem.sentence]
        assert said.severity is Severity.WARNING
        assert "HTTP allows that" in said.sentence

    def test_an_unasked_coding_that_holds_fails_for_the_holding(self) -> None:
        """The failure is that of delivery, and the coding is named beside it."""
        body = gzip.compress(b"".join(data for _, data in writes(STEADY)))
        held = sample([(STEADY[-1], body)], headers=(*HEADERS, ("content-encoding", "gzip")))
        found = conclude([held] * 3, longest=None)
        failures = [problem.sentence for problem in found.problems if problem.severity is Severity.FAILURE]
        assert len(failures) == 1
        assert "tokens came batched" in failures[0]

    @pytest.mark.parametrize(
        ("offered", "coding", "good"),
        [
            ("", "", True),
            ("", "identity", True),
            ("", "gzip", False),
            ("identity", "gzip", False),
            ("gzip, br", "br", True),
            ("gzip;q=1.0, br", "gzip", True),
            ("gzip, br", "zstd", False),
            ("gzip, br", "gzip, zstd", False),
            ("gzip", "identity", True),
        ],
    )
    def test_what_was_offered(self, offered: str, coding: str, *, good: bool) -> None:
        """RFC 9110, section 12.5.3: a coding that is not listed was not asked for."""
        assert acceptable(offered, coding) is good

    def test_another_coding_than_was_offered_is_a_failure(self) -> None:
        """A client that says identity, or names codings, cannot be expected to undo another one."""
        one = flushed(STEADY)
        found = conclude([replace(one, setting=replace(one.setting, accept_encoding="identity"))] * 3, longest=None)
        assert found.failed
        assert "although only identity was offered" in found.problems[0].sentence


@pytest.mark.parametrize(("longest", "enough"), [(2.0, True), (600.0, False)])
def test_which_durations_were_proven(longest: float, *, enough: bool) -> None:
    """Answers of 2.86 s prove two seconds and not ten minutes; what is not proven is a warning and no failure."""
    found = conclude([sample(writes(STEADY))] * 2, longest=longest)
    assert found.proven.total == pytest.approx(2.86, abs=0.01)
    assert found.proven.enough is enough
    assert found.failed is False
    assert bool(found.problems) is not enough


def test_an_answer_that_never_began_proves_no_duration() -> None:
    """A connection that stood open for fifteen seconds without a word says nothing of an answer of five."""
    silent = sample([], end=TransportEnd.TOTAL_TIMEOUT, ended=15.0)
    found = conclude([silent], longest=5.0)
    assert (found.proven.total, found.proven.enough) == (0.0, False)


def test_it_is_plain_data() -> None:
    """Conclusions come back from JSON as they went."""
    adapter = TypeAdapter(Conclusions)
    found = TestWays.found()
    assert adapter.validate_json(adapter.dump_json(found)) == found


def test_nothing_comes_of_nothing() -> None:
    """Without a sample there is a verdict that says so."""
    assert "nothing is known" in conclude([], longest=None).verdict
