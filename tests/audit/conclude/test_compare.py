"""Endings beside those of the model's own address: what a client alone cannot see, and what the comparison shows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.audit.conclude.findings import Conclusions, Confidence, EndingFinding, Severity, conclude
from lab.endpoint.samples import Sample
from lab.evidence import TransportEnd
from lab.vocabulary import Delivery, Ending
from lab.wire import format_named
from lab.wire.events import FinishReason

from ..foreign import HEADERS, REPLY, sample, steady, writes

WHOLE = [steady(count, 0.02) for count in (250, 247, 255)]
"""Answers of a model at 50 tokens a second, which differ a little in length."""

DIRECT = [sample(writes(times), route="direct") for times in WHOLE]


def endings(conclusions: Conclusions) -> list[EndingFinding]:
    """The endings of the path's answers."""
    return [each.ending for each in conclusions.samples if each.metrics.route == "path"]


def warned(conclusions: Conclusions, words: str) -> bool:
    """Whether there is a warning with these words, and none of them is a failure."""
    found = [problem for problem in conclusions.problems if words in problem.sentence]
    assert all(problem.severity is Severity.WARNING for problem in found)
    return bool(found)


def forged(count: int, end: float) -> Sample:
    """A prefix with a marker that something puts on it."""
    return sample(writes(steady(count, 0.02)), ended=end)


class TestComplete:
    def test_it_is_never_certain_by_itself(self) -> None:
        """A marker says nothing of who wrote it, however many samples there are."""
        found = endings(conclude([sample(writes(times)) for times in WHOLE], longest=None))
        assert {each.confidence for each in found} == {Confidence.LIKELY}

    def test_it_is_certain_where_the_models_own_answers_are_as_long(self) -> None:
        """A prefix would be shorter."""
        found = endings(conclude([*(sample(writes(times)) for times in WHOLE), *DIRECT], longest=None))
        assert {(each.ending, each.confidence) for each in found} == {(Ending.COMPLETE, Confidence.CERTAIN)}

    def test_one_event_more_or_less_is_no_proof(self) -> None:
        """Models differ by more from one answer to the next."""
        direct = [sample(writes(steady(250, 0.02)), route="direct")] * 3
        for count in (249, 251):
            found = conclude([*[sample(writes(steady(count, 0.02)))] * 3, *direct], longest=None)
            assert {each.ending for each in endings(found)} == {Ending.COMPLETE}
            assert not found.problems

    @pytest.mark.parametrize(
        "counts", [pytest.param((133, 137, 138), id="a timeout"), pytest.param((120, 120, 120), id="a limit")]
    )
    def test_an_end_that_something_forges_cannot_be_told_from_one(self, counts: Sequence[int]) -> None:
        """All end at one moment, or after one number of events, and all of the model's own are longer."""
        found = conclude([*(forged(count, 3.3) for count in counts), *DIRECT], longest=None)
        assert {(each.ending, each.confidence) for each in endings(found)} == {(None, Confidence.CANNOT_TELL)}
        assert "a marker that something puts on a prefix" in endings(found)[0].reason
        assert warned(found, "whether answers are whole cannot be told")
        assert found.groups[0].delivery.confidence is not Confidence.CERTAIN

    def test_shorter_answers_of_all_lengths_are_doubted(self) -> None:
        """They may be another mood of the model's, so the word stays, and the doubt is said."""
        found = endings(
            conclude([*(forged(count, count / 50 + 0.6) for count in (60, 120, 180)), *DIRECT], longest=None)
        )
        assert {(each.ending, each.confidence) for each in found} == {(Ending.COMPLETE, Confidence.LIKELY)}
        assert "every answer is shorter than all from the model's own address" in found[0].reason

    def test_a_marker_that_the_path_drops_is_named(self) -> None:
        """The reason without the marker reads as complete, and the model's own address has both."""
        chat = format_named("openai-chat")
        cut = [[(at, data.removesuffix(b"data: [DONE]\n\n")) for at, data in writes(times)] for times in WHOLE]
        assert chat.has_marker
        found = conclude([*map(sample, cut), *DIRECT], longest=None)
        assert "the model's own address sends the marker" in endings(found)[0].reason
        assert warned(found, "without the terminal marker")


@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8", ""])
@pytest.mark.parametrize("with_direct", [False, True], ids=["alone", "with-direct"])
def test_a_content_type_that_event_sources_refuse_is_a_warning(kind: str, *, with_direct: bool) -> None:
    """The HTML standard lets EventSource fail on all but text/event-stream."""
    headers = (("content-type", kind),) if kind else ()
    found = conclude(
        [*(sample(writes(t), headers=headers) for t in WHOLE), *(DIRECT if with_direct else ())], longest=None
    )
    what = f"Content-Type {kind.partition(';')[0]}" if kind else "no Content-Type"
    assert warned(found, what)
    assert warned(found, "where the model's own address sends text/event-stream") is with_direct


def test_the_right_content_type_is_no_warning() -> None:
    """With parameters or without, in whatever reading."""
    headers = (("content-type", "Text/Event-Stream;charset=UTF-8"),)
    assert not conclude([sample(writes(times), headers=headers) for times in WHOLE], longest=None).problems


class TestContradictions:
    """OpenAI's Responses count their events and repeat their text."""

    @staticmethod
    def spoilt(change: str) -> EndingFinding:
        """How an answer ended of which one event never came, came twice, or came with another text."""
        form, made = format_named("openai-responses"), writes(steady(60, 0.04), wire="openai-responses")
        last = made[-1][1][len(form.text(REPLY, "word ", 60)) :]
        whole = form.finish(REPLY, FinishReason.STOP, 60, "word " * 60)
        reads = [(0.4, form.opening(REPLY)), *made[:-1], (made[-1][0], made[-1][1].removesuffix(last) + whole)]
        match change:
            case "missing":
                del reads[40]
            case "twice":
                reads.insert(40, reads[40])
            case "altered":
                reads[40] = (reads[40][0], reads[40][1].replace(b"word ", b"ward "))
        return conclude([sample(reads, wire="openai-responses")], longest=None).samples[0].ending

    @pytest.mark.parametrize("change", ["missing", "twice", "altered"])
    def test_what_contradicts_itself_is_corrupt(self, change: str) -> None:
        """The reply itself shows it, whatever its marker says."""
        found = self.spoilt(change)
        assert (found.ending, found.confidence) == (Ending.CORRUPT, Confidence.CERTAIN)

    def test_what_does_not_is_complete(self) -> None:
        """The same answer as it was written."""
        assert self.spoilt("").ending is Ending.COMPLETE


CALL = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1, "}}]}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'


def test_an_answer_of_tool_calls_alone_is_judged_by_them() -> None:
    """Two hundred pieces of arguments, one after another, are a stream like any other."""
    reads = [*((at, CALL) for at in steady(200, 0.025)), (5.6, END)]
    found = conclude([sample(reads)] * 3, longest=None)
    assert found.groups[0].delivery.delivery is Delivery.INCREMENTAL
    assert endings(found)[0].ending is Ending.COMPLETE
    assert not found.failed


class TestDeaths:
    @staticmethod
    def timeout(*terminations: tuple[int, float]) -> str:
        """What is said of answers that die after so many events and seconds."""
        made = []
        for count, at in terminations:
            pace = (at - 0.5) / count
            cut = writes(steady(count, pace), marker=False)
            made.append(sample(cut, end=TransportEnd.SHORT_FIN, ended=at))
        (guess,) = conclude(made, longest=None).timeouts
        return f"{guess.cause}: {guess.sentence}"

    def test_one_number_of_events_at_scattered_times_is_no_timeout(self) -> None:
        """A timeout cuts wherever the model happens to be."""
        found = self.timeout((100, 2.28), (100, 2.34), (100, 2.31))
        assert found.startswith("None:")
        assert "each time after 100 events and not at one time" in found

    def test_one_time_and_scattered_numbers_are_a_timeout(self) -> None:
        """Nothing else keeps the time whatever the model has written."""
        assert "looks like a timeout on the whole exchange at 3.00 s" in self.timeout(
            (133, 3.0), (138, 3.01), (136, 3.0)
        )

    def test_one_number_and_one_time_leave_it_open(self) -> None:
        """An even model and a timeout make the same terminations as a model that dies there."""
        found = self.timeout((100, 2.5), (100, 2.505), (100, 2.5))
        assert found.startswith("None:")
        assert "a timeout, a limit on size, or a model that dies there" in found


def test_an_empty_body_is_called_that() -> None:
    """Nothing came, and neither text nor header is to be explained."""
    headers = (*HEADERS, ("content-length", "0"))
    found = conclude([sample([], headers=headers)] * 2, longest=None)
    assert "an empty body" in endings(found)[0].reason
    assert not any("the whole of it" in each for each in found.anomalies)
