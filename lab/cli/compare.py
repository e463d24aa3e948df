"""`lab compare`: the same generations streamed and batch, over a path of the lab's or of the user's, and what follows.

Everything that can be refused is refused before the first request, the cost is stated before it, and whatever ends
the comparison early, files are written of what came till then. Nothing is printed or written that has not been masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from lab.catalogue import discover, shipped_scenarios
from lab.cli.audit import patience_of, tls_of
from lab.cli.options import duration
from lab.cli.out import progress_columns, writing_to
from lab.cli.shell import run_until_stopped
from lab.cli.terminal import print_line
from lab.compare.advice import Choice, Need, advise
from lab.compare.figures import figures
from lab.compare.growth import growths
from lab.compare.own import GENERATIONS, case_named, own_minutes, own_path
from lab.compare.page import compare_page
from lab.compare.results import FORMAT_VERSION, Comparison, save
from lab.compare.text import print_comparison
from lab.compare.theirs import CHECKS, Cost, Stopped, TheirPath
from lab.compare.turns import Ask, Turn, count_requests, make_all
from lab.endpoint.address import endpoint_of
from lab.endpoint.asking import RunTerms
from lab.endpoint.keys import read_keys
from lab.endpoint.mask import Mask
from lab.endpoint.samples import PATH
from lab.errors import BadInput, ExitCode
from lab.files import write_whole
from lab.testbed.supply import RunnerWish, from_machine
from lab.wire import format_named

OWN_CASE = "recommended::nginx-1.30::fixed"
"""The lab's own path where nothing else is given."""

MAX_TOKENS = 300
"""The limit of each answer of a user's endpoint where nothing else is given."""

RESULT, PAGE = "compare.json", "compare.html"

OWN_LEVELS, THEIR_LEVELS = "1,4,16", "1,2,4"
"""How many at once where --concurrency says nothing: over the lab's own path, and on an endpoint that costs money."""


@dataclass(frozen=True)
class Subject:
    """What is compared.

    Args:
        path: enters the path and gives what makes one generation over it.
        over: the path's name, as it is printed and saved.
        wire_format: the dialect.
        generations: what is generated, in words.
        notes: what a reader must know to read the figures; grows while measuring.
        mask: takes secrets out of what is printed and saved.
    """

    path: AbstractAsyncContextManager[Ask]
    over: str
    wire_format: str
    generations: str
    notes: list[str] = field(default_factory=list)
    mask: Mask = field(default_factory=lambda: Mask(()))


@dataclass(frozen=True)
class Extent:
    """How much is measured: how many at once, one level after another, and how often each."""

    levels: tuple[int, ...]
    rounds: int

    @property
    def requests(self) -> int:
        """How many requests that is."""
        return count_requests(self.levels, self.rounds)

    @property
    def turns(self) -> int:
        """How many turns: the requests of one way that run at once."""
        return 2 * self.rounds * len(self.levels)


@dataclass(frozen=True)
class CompareOptions:
    """What the command was given; see `lab compare --help`."""

    url: str | None = None
    over: str | None = None
    wire_format: str | None = None
    concurrency: str = ""
    runs: int = 6
    program: bool = False
    whole_only: bool = False
    longest: str = ""
    model: str | None = None
    max_tokens: int | None = None
    key_env: str | None = None
    key_file: Path | None = None
    header_env: Sequence[str] | None = None
    ca_file: Path | None = None
    wish: RunnerWish = field(default_factory=RunnerWish)

    @property
    def extent(self) -> Extent:
        """How much is measured.

        Raises:
            BadInput: the levels make no sense.
        """
        try:
            return Extent(read_levels(self.concurrency or (THEIR_LEVELS if self.url else OWN_LEVELS)), self.runs)
        except ValueError as error:
            raise BadInput(f"--concurrency: {error}") from None

    @property
    def need(self) -> Need:
        """What the application needs.

        Raises:
            BadInput: the longest generation is no duration.
        """
        return Need(not self.program, not self.whole_only, duration("--longest", self.longest))

    def refuse_what_is_for_a_url(self) -> None:
        """Nobody may believe that a key or a model was used where none was.

        Raises:
            BadInput: names the options.
        """
        theirs = ("model", "max_tokens", "key_env", "key_file", "header_env", "ca_file")
        given = [f"--{name.replace('_', '-')}" for name in theirs if getattr(self, name) is not None]
        if given:
            raise BadInput(f"{', '.join(given)}: only for a URL", "Give the URL of your endpoint, or leave them out.")


def subject_of(options: CompareOptions, environment: Mapping[str, str], say: Callable[[str], None]) -> Subject:
    """What is to be compared, with its cost stated; nothing has been sent or started yet.

    Raises:
        BadInput: an option, the address or a key is wrong, or it would cost too much.
    """
    extent, need = options.extent, options.need
    if options.url is not None:
        if options.over is not None:
            raise BadInput("--over and a URL: one path at a time", "Leave out one of them.")
        if options.wish != RunnerWish():
            raise BadInput("--runner and --binary: only for a path of the lab's", "Leave out these, or the URL.")
        return _theirs(options, options.url, extent, need, environment, say)
    options.refuse_what_is_for_a_url()
    products = from_machine(options.wish.binaries).products
    case = case_named(discover(shipped_scenarios(), products), options.over or OWN_CASE)
    dialect = format_named(options.wire_format or "openai-chat").name
    say(f"{case.id}: {extent.requests} {GENERATIONS}, about {own_minutes(extent.turns)} min")
    return Subject(own_path(case, dialect, say, options.wish), case.id, dialect, GENERATIONS)


def _theirs(
    options: CompareOptions,
    url: str,
    extent: Extent,
    need: Need,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Subject:
    endpoint = endpoint_of(PATH, url, options.wire_format)
    dialect = endpoint.wire_format.name
    keys = read_keys(
        dialect,
        {PATH: endpoint.route.url},
        key_env=() if options.key_env is None else (options.key_env,),
        key_file=options.key_file,
        header_env=options.header_env or (),
        environment=environment,
    )
    mask = keys.mask
    cost = Cost(extent.requests, CHECKS + max(extent.levels), options.max_tokens or MAX_TOKENS)
    cost.check()
    path = TheirPath(
        endpoint,
        RunTerms(keys, patience_of(need.longest), tls_of(options.ca_file), cost.max_tokens),
        options.model or "default",
        cost.max_tokens,
        extent.turns,
        lambda line: say(mask.text(line)),
    )
    sources = ", ".join(secret.source for secret in keys.of(PATH)) or "none"
    path.say(f"POST {endpoint.route.url} ({dialect}), secrets sent: {sources}")
    path.say(str(cost))
    generations = f"answers of at most {cost.max_tokens} tokens"
    return Subject(path.enter(), endpoint.route.url, dialect, generations, path.notes, mask)


def compare_and_report(subject: Subject, extent: Extent, need: Need, to: Path, *, out: Console, err: Console) -> int:
    """Compare, save and print; returns the exit code: 1 where the path is to be mended first.

    Whatever stops it, figures of what was measured until then are kept.

    Raises:
        LabError: the path cannot be had, or the result cannot be written.
        KeyboardInterrupt: after what was measured has been kept.
    """
    with writing_to(to):
        to.mkdir(parents=True, exist_ok=True)
    began, turns = datetime.now().astimezone(), list[Turn]()
    stopped: BaseException | None = None
    try:
        run_until_stopped(_measure(subject, extent, turns, err))
    except (KeyboardInterrupt, Exception) as error:
        if not turns and not isinstance(error, Stopped):
            raise
        stopped = error
    comparison = subject.mask.everything(_comparison(subject, extent, need, began, turns, stopped))
    with writing_to(to):
        save(comparison, to / RESULT)
        write_whole(to / PAGE, compare_page(comparison))
    print_comparison(comparison, out)
    print_line(out, f"Page: {to / PAGE}")
    return _code(comparison, stopped, to)


def _code(comparison: Comparison, stopped: BaseException | None, to: Path) -> int:
    """The exit code, or what ended the comparison: nobody may take it for a whole one."""
    mend = comparison.advice is not None and comparison.advice.choice is Choice.MEND_THE_PATH
    if not isinstance(stopped, Stopped):
        if stopped is not None:
            raise stopped
        return ExitCode.REQUIREMENT_FAILED if mend else ExitCode.AS_REQUIRED
    error = stopped.stop.error()
    if mend or error is None:
        return ExitCode.REQUIREMENT_FAILED
    raise type(error)(comparison.stopped, f"{comparison.remedy} What was learnt is in {to / RESULT}.")


def _comparison(
    subject: Subject, extent: Extent, need: Need, began: datetime, turns: Sequence[Turn], stopped: BaseException | None
) -> Comparison:
    levels = figures(turns)
    return Comparison(
        format_version=FORMAT_VERSION,
        lab_version=version("token-stream-lab"),
        over=subject.over,
        wire_format=subject.wire_format,
        generations=subject.generations,
        rounds=extent.rounds,
        started=began.isoformat(timespec="seconds"),
        need=need,
        levels=levels,
        growth=growths(levels),
        advice=advise(levels, need) if levels else None,
        notes=tuple(subject.notes),
        stopped=_words(stopped),
        remedy=stopped.stop.remedy if isinstance(stopped, Stopped) else "",
    )


async def _measure(subject: Subject, extent: Extent, turns: list[Turn], err: Console) -> None:
    with Progress(*progress_columns(), console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("setting up", total=extent.requests)

        def on_turn(turn: Turn) -> None:
            turns.append(turn)
            way = "streamed" if turn.generations[0].stream else "batch"
            progress.update(task, advance=len(turn.generations), description=f"{len(turn.generations)} at once, {way}")

        async with subject.path as ask:
            await make_all(ask, extent.levels, extent.rounds, on_turn)


def _words(stopped: BaseException | None) -> str:
    if stopped is None:
        return ""
    return "by the user" if isinstance(stopped, KeyboardInterrupt) else str(stopped)


def read_levels(text: str) -> tuple[int, ...]:
    """Levels as the command line takes them: `1,4,16`.

    Raises:
        ValueError: one of them is no whole number from 1, or stands twice.
    """
    levels: Sequence[int] = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(levels) < 1 or len(set(levels)) < len(levels):
        raise ValueError(f"{text!r}: write whole numbers from 1, each once, like 1,4,16")
    return tuple(levels)
