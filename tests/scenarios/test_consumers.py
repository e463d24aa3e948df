from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from judge.builder import Build

from lab.catalogue import Scenario, load_scenario
from lab.consume import Answer, Complete, Failed, FailedReason, Partial, PartialReason, consume
from lab.errors import BadInput
from lab.evidence import Evidence, TransportEnd
from lab.scenarios.consumers import check_consumers, consumer_named, replay

from .scenes import CARELESS

# What a client library would raise; None where it would just end the loop.
EXCEPTIONS: dict[TransportEnd, type[Exception] | None] = {
    TransportEnd.FRAMED: None,
    TransportEnd.CLOSED: None,
    TransportEnd.SHORT_FIN: ConnectionError,
    TransportEnd.RESET: ConnectionResetError,
    TransportEnd.NO_REPLY: ConnectionError,
    TransportEnd.NOT_HTTP: ConnectionError,
    TransportEnd.UNRESOLVED: ConnectionError,
    TransportEnd.REFUSED: ConnectionError,
    TransportEnd.TLS_FAILED: ConnectionError,
    TransportEnd.CONNECT_TIMEOUT: TimeoutError,
    TransportEnd.HEADERS_TIMEOUT: TimeoutError,
    TransportEnd.FIRST_TOKEN_TIMEOUT: TimeoutError,
    TransportEnd.MIDDLE_TIMEOUT: TimeoutError,
    TransportEnd.TOTAL_TIMEOUT: TimeoutError,
    TransportEnd.LEFT: ConnectionError,
}


def evidence_of(end: TransportEnd) -> Evidence:
    """Three of five tokens, and that end."""
    return Build(sent=(1, 2, 3), reason=None, marker=False, end=end).evidence()


class Recorder:
    """A consumer that keeps what it was given; one that an application would not want."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.raised: Exception | None = None
        self.given: dict[str, object] = {}

    def __call__(self, chunks: Iterable[bytes], **given: object) -> Answer | None:
        """Read to the end; tells nothing."""
        self.given = given
        try:
            for piece in chunks:
                self.pieces.append(piece)
        except Exception as error:
            self.raised = error
        return None


class TestReplay:
    def test_every_end_has_its_exception_here(self) -> None:
        """An end that is added must be thought about."""
        assert set(EXCEPTIONS) == set(TransportEnd)

    @pytest.mark.parametrize(("end", "expected"), EXCEPTIONS.items())
    def test_each_end_raises_what_a_client_would(self, end: TransportEnd, expected: type[Exception] | None) -> None:
        """Clean ends end the loop; any other is an exception behind the last piece."""
        recorder = Recorder()
        assert replay(recorder, evidence_of(end)) is None
        assert type(recorder.raised) is (expected or type(None))
        assert len(recorder.pieces) == 3

    def test_the_consumer_gets_the_probes_own_pieces(self) -> None:
        """Consumers differ only in what they make of the same bytes in the same pieces."""
        evidence, recorder = evidence_of(TransportEnd.FRAMED), Recorder()
        replay(recorder, evidence)
        assert recorder.pieces == [read.data for read in evidence.trace.body]
        assert recorder.given == {"wire_format": "openai-chat", "status": 200, "headers": evidence.trace.headers}

    def test_no_reply_has_no_status(self) -> None:
        """A consumer is told 0 where nothing came, so that it has a number in every case."""
        recorder = Recorder()
        replay(recorder, Build(sent=(), status=0, end=TransportEnd.REFUSED).evidence())
        assert recorder.given["status"] == 0

    @pytest.mark.parametrize(
        ("end", "reason"),
        [
            (TransportEnd.FRAMED, PartialReason.NO_MARKER),
            (TransportEnd.CLOSED, PartialReason.NO_MARKER),
            (TransportEnd.SHORT_FIN, PartialReason.CUT),
            (TransportEnd.RESET, PartialReason.CUT),
            (TransportEnd.MIDDLE_TIMEOUT, PartialReason.TIMEOUT),
        ],
    )
    def test_the_careful_consumer_tells_the_ends_apart(self, end: TransportEnd, reason: PartialReason) -> None:
        """What is replayed is enough for an application to know why an answer is not whole."""
        answer = replay(consume, evidence_of(end))
        assert isinstance(answer, Partial)
        assert (answer.tokens, answer.reason) == (3, reason)

    @pytest.mark.parametrize(
        ("end", "reason"),
        [(TransportEnd.RESET, FailedReason.CUT), (TransportEnd.MIDDLE_TIMEOUT, FailedReason.TIMEOUT)],
    )
    def test_a_consumer_that_lets_the_exception_through_has_told_of_a_failure(
        self, end: TransportEnd, reason: FailedReason
    ) -> None:
        """The client's exception is the application's news, and no fault of the lab's."""
        answer = replay(_raising, evidence_of(end))
        assert isinstance(answer, Failed)
        assert answer.reason is reason

    def test_a_consumers_own_fault_is_not_hidden(self) -> None:
        """A consumer that breaks by itself has told nothing about the answer."""

        def broken(chunks: Iterable[bytes], **_: object) -> Answer | None:
            raise KeyError(len(list(chunks)))

        with pytest.raises(KeyError):
            replay(broken, evidence_of(TransportEnd.FRAMED))


def _raising(chunks: Iterable[bytes], **_: object) -> Answer | None:
    return Complete("", len(list(chunks)), "stop")


class TestConsumerNamed:
    def test_the_careful_one_is_the_applications_own(self) -> None:
        """What passes here is the very function that applications import."""
        assert consumer_named("lab.consume", CARELESS) is consume

    def test_a_function_beside_the_scenario_is_found(self) -> None:
        """A scenario brings its own careless consumers."""
        assert replay(consumer_named("careless.py:drops_silently", CARELESS), evidence_of(TransportEnd.RESET)) is None

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("lab.comsume", "no consumer 'lab.comsume'"),
            ("missing.py:read", "no consumer 'missing.py:read'"),
            ("mine.py", "no consumer 'mine.py'"),
            ("mine.py:", "no consumer 'mine.py:'"),
            ("mine.py:reed", "mine.py: no function 'reed'"),
            ("mine.py:NUMBER", "mine.py: no function 'NUMBER'"),
            ("broken.py:read", "broken.py: cannot be imported: SyntaxError"),
            ("raising.py:read", "raising.py: cannot be imported: ZeroDivisionError"),
            ("notes.txt:read", "notes.txt: no Python module"),
        ],
    )
    def test_one_that_is_not_there_is_bad_input(self, tmp_path: Path, name: str, told: str) -> None:
        """The message names the folder, what is wrong there, and what may be written."""
        (tmp_path / "mine.py").write_text("NUMBER = 1\ndef read(chunks, **given): ...\n")
        (tmp_path / "broken.py").write_text("def read(:\n")
        (tmp_path / "raising.py").write_text("1 / 0\n")
        (tmp_path / "notes.txt").write_text("read\n")
        with pytest.raises(BadInput) as caught:
            consumer_named(name, tmp_path)
        assert str(tmp_path) in caught.value.problem
        assert told in caught.value.problem
        assert caught.value.remedy


class TestCheckConsumers:
    @pytest.fixture
    def scenario(self) -> Scenario:
        """A scenario with careless consumers and the careful one."""
        return load_scenario(CARELESS)

    def test_finds_those_of_a_shipped_scenario(self, scenario: Scenario) -> None:
        """Four names over all cases, and each of them is there."""
        named = {name for case in scenario.cases for name in case.consumers}
        assert len(named) == 4
        check_consumers([scenario])

    def test_refuses_a_name_in_any_case(self, scenario: Scenario) -> None:
        """A misspelt consumer costs a message, and not a whole run whose cases end without a verdict."""
        *others, last = scenario.cases
        wrong = replace(scenario, cases=(*others, replace(last, consumers=("lab.comsume",))))
        with pytest.raises(BadInput, match="comsume"):
            check_consumers([wrong])
