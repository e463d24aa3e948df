"""The whole command on an endpoint that is not the lab's: what it tells, what it costs, and what it keeps to itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from busy import busy_processes

from lab.cli import main
from lab.compare.advice import Choice, RuleAnswer
from lab.compare.answers import Unit
from lab.compare.growth import Growing
from lab.compare.results import Comparison, load
from lab.errors import ExitCode

from .server import Endpoint, serving

pytestmark = pytest.mark.usefixtures("own_signals")

KEY = "sk-test-4f8a1c9e7b2d6035"

Found = tuple[int, str, str]
Compare = Callable[..., Found]


@pytest.fixture(name="compare")
def _compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Compare]:
    """Runs the command on an endpoint; gives exit code, standard output and standard error, each on one line."""
    with ExitStack() as stack:

        def run(endpoint: Endpoint, *options: str) -> Found:
            url = stack.enter_context(serving(endpoint))
            code = main(["compare", f"{url}/v1/chat/completions", "--out", str(tmp_path), *options])
            said = capsys.readouterr()
            return code, " ".join(said.out.split()), " ".join(said.err.split())

        yield run


@pytest.fixture(params=[0, pytest.param(2, marks=pytest.mark.busy)], ids=["free", "two-busy-processes"])
def busy(request: pytest.FixtureRequest) -> Iterator[int]:
    """Other processes that leave nothing of the processors to spare; gives how many."""
    with busy_processes(request.param):
        yield request.param


def saved(tmp_path: Path) -> Comparison:
    """What the command kept."""
    return load(tmp_path / "compare.json")


def answer_to(comparison: Comparison, words: str) -> RuleAnswer:
    """The answer of the rule whose question has these words."""
    assert comparison.advice is not None
    (found,) = (ruling.answer for ruling in comparison.advice.rulings if words in ruling.question)
    return found


@pytest.mark.usefixtures("busy")
def test_known_times_are_measured_and_streaming_is_recommended(compare: Compare, tmp_path: Path) -> None:
    """Each answer takes 0.3 s to its first word and 1.62 s to its last, both ways; nothing comes before it left.

    Much shorter ones a busy machine's lateness makes alike, and then the command rightly tells nothing.
    """
    endpoint = Endpoint(pieces=12, first=0.3, interval=0.12)
    code, out, _ = compare(endpoint, "--concurrency", "1,3")
    assert code == ExitCode.AS_REQUIRED
    assert out.startswith("Stream, and handle a partial answer")
    found = saved(tmp_path)
    assert [level.at_once for level in found.levels] == [1, 3]
    assert {level.unit for level in found.levels} == {Unit.TOKENS}
    for level in found.levels:
        for way in (level.stream, level.batch):
            assert way.total is not None
            assert way.length is not None
            assert way.total.low is not None
            # Lateness of a busy machine only ever adds.
            assert way.total.low >= endpoint.total(12) - 0.01
            assert way.length.value == 12
            assert way.losses == ()
        assert level.stream.first_text is not None
        assert level.stream.first_text.value >= 0.29
        assert level.stream.first_text.value < level.stream.total.value / 2  # type: ignore[union-attr]
    assert answer_to(found, "first text") is RuleAnswer.YES
    assert (tmp_path / "compare.html").read_text().count("<figure>") == 5


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    "pieces", [20, pytest.param((12, 40), marks=pytest.mark.grid)], ids=["one-length", "any-length"]
)
def test_a_path_that_buffers_makes_streaming_pointless(
    compare: Compare, tmp_path: Path, pieces: int | tuple[int, int]
) -> None:
    """All text comes at the end: the recommendation is batch, and says that a stream gains nothing here."""
    code, out, _ = compare(Endpoint(pieces=pieces, interval=0.05, collects=True), "--concurrency", "1")
    assert code == ExitCode.AS_REQUIRED
    assert out.startswith("Ask for batch replies")
    assert "A stream gains nothing here" in out
    assert answer_to(saved(tmp_path), "first text") is RuleAnswer.NO


@pytest.mark.grid
def test_throughput_stops_growing_where_the_server_has_no_more_room(
    compare: Compare, tmp_path: Path, busy: int
) -> None:
    """Two at a time are served: six at once bring no more a second than two did, and it is said.

    On a busy machine the turns may be too uneven to tell where; it never reads as growth, nor as an earlier end.
    """
    endpoint = Endpoint(pieces=10, first=1.0, interval=0.01, slots=2)
    code, out, _ = compare(endpoint, "--concurrency", "1,2,6")
    assert code == ExitCode.AS_REQUIRED
    assert endpoint.most_at_once == 6
    for growth in saved(tmp_path).growth:
        told = (growth.growing, growth.at_once)
        assert told == (Growing.STOPS, 2) or (busy and told == (Growing.CANNOT_TELL, 6))
        assert growth.sentence in out
    for level in saved(tmp_path).levels:
        for way in (level.stream, level.batch):
            assert way.rate is not None
            assert way.rate.value <= min(level.at_once, 2) / endpoint.total(10)


@pytest.mark.grid
def test_throughput_that_grows_is_not_called_saturated(compare: Compare, tmp_path: Path) -> None:
    """An endpoint with room for all brings six times as many of six at once."""
    compare(Endpoint(pieces=10, first=0.15, interval=0.01), "--concurrency", "1,6")
    assert {growth.growing for growth in saved(tmp_path).growth} <= {Growing.GROWS, Growing.CANNOT_TELL}


@pytest.mark.grid
def test_answers_that_differ_in_length_are_not_compared_as_if_they_were_alike(compare: Compare, tmp_path: Path) -> None:
    """Words from 10 to 60, drawn at random: the pairs that differ are left out, counted, and no ratio is made up."""
    compare(Endpoint(pieces=(10, 60), interval=0.01), "--concurrency", "2")
    (level,) = saved(tmp_path).levels
    assert level.left_out > 0
    assert answer_to(saved(tmp_path), "same time") in (RuleAnswer.CANNOT_TELL, RuleAnswer.YES)
    assert level.stream.length is not None
    assert level.stream.length.low != level.stream.length.high


def test_without_usage_lengths_are_counted_in_characters(compare: Compare, tmp_path: Path) -> None:
    """Twenty words of five characters each."""
    compare(Endpoint(usage=False), "--concurrency", "1", "--runs", "1")
    (level,) = saved(tmp_path).levels
    assert level.unit is Unit.CHARACTERS
    assert level.stream.length is not None
    assert level.stream.length.value == 100


def test_the_cost_is_stated_before_the_first_request_and_kept_to(compare: Compare) -> None:
    """Twelve that count and two that check; each sets the limit, and each has a prompt of its own."""
    endpoint = Endpoint(pieces=3, interval=0.01)
    _, _, err = compare(endpoint, "--concurrency", "1,2", "--runs", "2", "--max-tokens", "77")
    assert "12 requests, and up to 4 to check the endpoint" in err
    assert f"at most {16 * 77:,} tokens" in err
    assert len(endpoint.asked) == 14
    assert {body["max_completion_tokens"] for body in endpoint.asked} == {77}
    assert {(body["temperature"], body["seed"]) for body in endpoint.asked} == {(0, 1)}
    # A gateway that keeps replies would give the second of two equal requests away at once.
    prompts = [body["messages"][0]["content"] for body in endpoint.asked]
    assert len(set(prompts)) == 14
    assert len({len(prompt) for prompt in prompts}) == 1
    assert sum(body["stream"] for body in endpoint.asked) == 7


def test_fields_that_an_endpoint_refuses_are_left_out_and_named(compare: Compare, tmp_path: Path) -> None:
    """Models that only reason take no temperature: asked again without, once, and the figures come with a note."""
    endpoint = Endpoint(dislikes=("temperature",))
    code, out, _ = compare(endpoint, "--concurrency", "1", "--runs", "1")
    assert code == ExitCode.AS_REQUIRED
    assert ["temperature" in body for body in endpoint.asked] == [True, False, False, False, False]
    (note,) = saved(tmp_path).notes
    assert "'temperature'" in note
    assert note in out


def test_a_key_is_sent_and_never_written(compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint repeats the key in every answer and at last in an error; no file and no line has it."""
    monkeypatch.setenv("A_KEY", KEY)
    endpoint = Endpoint(echoes=True, limit_after=5)
    code, out, err = compare(endpoint, "--key-env", "A_KEY", "--concurrency", "1", "--runs", "2")
    assert code == ExitCode.NO_ENVIRONMENT
    assert endpoint.keys == {f"Bearer {KEY}"}
    # The error is quoted, its scheme too, with something else where the key stood.
    assert "slow down, Bearer ***" in err
    assert "secrets sent: A_KEY" in err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"compare.json", "compare.html"}
    for text in (out, err, *(path.read_text() for path in files)):
        assert KEY not in text
        assert KEY[:12] not in text


def test_a_rate_limit_in_the_middle_keeps_what_was_learnt(compare: Compare, tmp_path: Path) -> None:
    """Nine answers, then 429: the whole turns before it are figures, and nobody can take it for a whole comparison."""
    code, out, err = compare(Endpoint(limit_after=9, pieces=5), "--concurrency", "1")
    assert code == ExitCode.NO_ENVIRONMENT
    assert "Stopped early: " in out
    assert "429, rate limit" in err
    assert "What was learnt is in" in err
    found = saved(tmp_path)
    assert "429, rate limit" in found.stopped
    # Two that check, then seven turns of one: four of one way and three of the other.
    (level,) = found.levels
    assert level.stream.lost is not None
    assert level.batch.lost is not None
    assert level.stream.lost.count + level.batch.lost.count == 7


def test_a_short_rate_limit_is_waited_for_once(compare: Compare, tmp_path: Path) -> None:
    """The turn that met it is made again, and the refused request is in no figure."""
    endpoint = Endpoint(limit_after=4, retry_after=1, recovers=True, pieces=5)
    code, _, err = compare(endpoint, "--concurrency", "1", "--runs", "2")
    assert code == ExitCode.AS_REQUIRED
    assert "waiting 1 s as asked, once" in err
    (level,) = saved(tmp_path).levels
    assert level.stream.losses == level.batch.losses == ()
    assert len(endpoint.asked) == 2 + 4 + 1


@pytest.mark.grid
def test_an_endpoint_with_too_much_to_do_is_no_fault_of_the_batch_replies(compare: Compare, tmp_path: Path) -> None:
    """It answers 503 to every batch reply, which says nothing of the path's timeouts."""
    code, out, _ = compare(Endpoint(batch_status=503), "--concurrency", "1", "--program")
    found = saved(tmp_path)
    assert found.advice is not None
    assert answer_to(found, "silence") is not RuleAnswer.YES
    assert "timeout at" not in out
    assert code == ExitCode.AS_REQUIRED


def test_an_endpoint_that_never_sends_a_batch_reply_is_nothing_to_compare(compare: Compare, tmp_path: Path) -> None:
    """It streams whatever is asked: said after two requests."""
    endpoint = Endpoint(always_streams=True, pieces=3)
    code, out, _ = compare(endpoint)
    assert code == ExitCode.REQUIREMENT_FAILED
    assert "asked for a batch reply, the endpoint answers with a stream" in out
    assert len(endpoint.asked) == 2
    assert saved(tmp_path).advice is None
    assert (tmp_path / "compare.html").exists()


def test_a_plan_in_the_models_name_is_sent_as_it_is(compare: Compare) -> None:
    """Where the lab's own model server stands behind the path, it does what the name says."""
    endpoint = Endpoint(pieces=3)
    compare(endpoint, "--model", "lab?tokens=9", "--concurrency", "1", "--runs", "1")
    assert {body["model"] for body in endpoint.asked} == {"lab?tokens=9"}


def test_a_turn_of_few_gives_no_interval_and_no_choice(compare: Compare, tmp_path: Path) -> None:
    """Two of each are too few: whether the first text comes sooner is left open, and so is the choice."""
    code, out, _ = compare(Endpoint(), "--concurrency", "1", "--runs", "2")
    assert code == ExitCode.AS_REQUIRED
    found = saved(tmp_path)
    assert found.advice is not None
    assert found.advice.choice is Choice.CANNOT_TELL
    assert "more --runs" in out


def test_a_certificate_is_verified_and_an_authority_of_ones_own_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --ca-file nothing is sent; with it the same endpoint is compared."""
    authority, endpoint = trustme.CA(), Endpoint(pieces=3)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    with serving(endpoint, tls=context) as url:
        command = ["compare", f"{url}/v1/chat/completions", "--out", str(tmp_path), "--concurrency", "1", "--runs", "1"]
        assert main(command) == ExitCode.NO_ENVIRONMENT
        assert "no verified TLS connection" in capsys.readouterr().err
        assert endpoint.asked == []
        assert main([*command, "--ca-file", str(tmp_path / "ca.pem")]) == ExitCode.AS_REQUIRED
    assert len(endpoint.asked) == 4
