"""`lab verify` and `lab fix`: a file of the user's under every requirement, and the fewest lines that mend it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lab.cli.formatted import TEXT, format_called, hand_on
from lab.cli.runners import supplied
from lab.cli.shell import run_until_stopped
from lab.cli.terminal import here, print_line
from lab.cli.verified import show, show_difference, show_fix, show_replaced
from lab.errors import BadInput, ExitCode
from lab.files import read_exactly
from lab.products import PRODUCTS, Proxy
from lab.products.adapted import Adapter, EntranceWish, Spot
from lab.suite.settle import Waits
from lab.testbed.engine import Say
from lab.testbed.supply import RunnerWish, Supply
from lab.verify.changes import line_ends, replace_file, together
from lab.verify.formats import measured
from lab.verify.migrate import ChangeKind, migrate
from lab.verify.rounds import UserFile, known_of
from lab.verify.search import Verified, verify
from lab.verify.template import template


@dataclass(frozen=True)
class VerifyOptions:
    """What the commands were given; see `lab verify --help`."""

    product: str
    file: Path
    version: str
    wish: EntranceWish
    waits: Waits
    headers: tuple[tuple[str, str], ...]
    runner: RunnerWish


def verify_and_report(
    options: VerifyOptions, format_name: str = TEXT, *, out: Console, err: Console, say: Say
) -> ExitCode:
    """Verify a file and print what was found; returns the exit code.

    Args:
        options: which file, and how to run it.
        format_name: `text`, or one of `lab.verify.formats.FORMATS`; the text goes to `err` then.
        out: where to print.
        err: where progress goes.
        say: takes a line of it.

    Raises:
        BadInput: an option, or the file.
        SetUpFault: the product refuses the file.
        EnvironmentFault: the machine lacks what it needs.
    """
    wanted = format_called(format_name)
    subject, found = _verified(options, say, mend=False)
    people = out if wanted == TEXT else err
    for each in found:
        show(subject, each, people)
    show_replaced(subject, found, people)
    if wanted != TEXT:
        hand_on(measured(found), wanted, out)
    return _code(found)


def fix_and_report(options: VerifyOptions, *, write: bool, out: Console, say: Say) -> ExitCode:
    """Verify a file, and print the fewest changes of it that were seen to mend it; returns the exit code.

    Raises:
        BadInput: an option, or the file.
        SetUpFault: the product refuses the file.
        EnvironmentFault: the machine lacks what it needs.
    """
    subject, found = _verified(options, say, mend=True)
    changed: dict[Path, list[str]] = {}
    for each in found:
        show_fix(each, out)
        if each.whole:
            for path, text in _edits(subject.adapter, each):
                changed.setdefault(path, []).append(text)
    for path, texts in changed.items():
        exact = read_exactly(path)
        ends = line_ends(exact)
        before = exact.replace(ends, "\n")
        after = together(before, [each.replace(ends, "\n") for each in texts])
        show_difference(path, before, after, out)
        if write:
            kept = replace_file(path, after.replace("\n", ends))
            print_line(out, f"written; the file as it was is {here(str(kept))}")
    left = any(each.untold or (each.failed and not each.whole) or each.chance for each in found)
    return ExitCode.REQUIREMENT_FAILED if left else ExitCode.AS_REQUIRED


def _edits(adapter: Adapter, each: Verified) -> Iterator[tuple[Path, str]]:
    """The user's files with each change of a fix: the settings together, and each line that goes by itself."""
    yield from adapter.edit(each.entrance, [change for change in each.fix if isinstance(change, str)]).items()
    for change in each.fix:
        if isinstance(change, Spot):
            yield from adapter.without(change).items()


def _code(found: Sequence[Verified]) -> ExitCode:
    """What cannot be told is not met."""
    return ExitCode.REQUIREMENT_FAILED if any(each.failed or each.untold for each in found) else ExitCode.AS_REQUIRED


def migrate_and_report(old: VerifyOptions, new: VerifyOptions, *, out: Console, say: Say) -> ExitCode:
    """Hold two targets against the same suite and print what differs; returns the exit code, 1 where one is worse.

    Raises:
        BadInput: an option, or a file.
        SetUpFault: a product refuses its file.
        EnvironmentFault: the machine lacks what one of them needs.
    """
    supply, before = user_file(old, say)
    _, after = user_file(new, say)
    found = run_until_stopped(migrate(before, after, new.waits, supply, say))
    for change in found:
        style = {ChangeKind.WORSE: "bold red", ChangeKind.BETTER: "green"}.get(change.kind, "yellow")
        print_line(out, f"{change.kind}  {change.before.requirement}", style)
        print_line(out, f"  before: {change.before.words}")
        print_line(out, f"  after:  {change.after.words}")
    if not found:
        print_line(out, "Every requirement is observed alike.")
    return ExitCode.REQUIREMENT_FAILED if any(each.kind is ChangeKind.WORSE for each in found) else ExitCode.AS_REQUIRED


LONGEST = 3600.0
"""Seconds that one wait may last: it is really made, once in each round."""


def _verified(options: VerifyOptions, say: Say, *, mend: bool) -> tuple[UserFile, list[Verified]]:
    supply, subject = user_file(options, say)
    return subject, run_until_stopped(verify(subject, options.waits, supply, say, mend=mend))


def user_file(options: VerifyOptions, say: Say) -> tuple[Supply, UserFile]:
    """What runs the file: the version that was asked for, else the binary's own, else the newest.

    Raises:
        BadInput: an option, or the file.
        EnvironmentFault: the machine lacks what it needs.
    """
    supply, versions = user_files(options, say)
    return supply, versions[-1]


def user_files(options: VerifyOptions, say: Say) -> tuple[Supply, list[UserFile]]:
    """The file once for each version that is meant, oldest first, and where what runs it comes from.

    Raises:
        BadInput: an option, or the file.
        EnvironmentFault: the machine lacks what it needs.
    """
    waits = options.waits
    if max(waits.longest, waits.first_token, waits.gap) > LONGEST:
        raise BadInput("A wait of more than an hour is asked for, and would be waited for.", "Ask for 1h at most.")
    product = PRODUCTS.get(options.product)
    if product is None:
        raise BadInput(f"There is no {options.product}.", f"Choose from {', '.join(PRODUCTS)}.")
    if not options.file.exists():
        raise BadInput(f"{options.file}: there is no such file.", "Give a configuration, or a folder with one.")
    read = product.adapt or template
    # Before anything is started, or even installed.
    read(options.file, options.wish)
    wanted = [f"{options.product}-{options.version}"] if options.version else [options.product]
    supply, proxies = supplied(options.runner, wanted, _proxies, say)
    # Each is read by itself: what a version does not know is left out for it alone.
    return supply, [
        UserFile(options.file, each, read(options.file, options.wish), options.headers, known_of(product))
        for each in proxies
    ]


def _proxies(supply: Supply, names: Sequence[str]) -> tuple[Proxy, ...]:
    """The products at their versions that are called so.

    Raises:
        BadInput: there is none.
    """
    every = [Proxy(product, version) for product in supply.products.values() for version in product.versions]
    found = tuple(each for each in every if {each.id, each.product.name} & set(names))
    if not found:
        raise BadInput(f"There is no {' or '.join(names)}.", f"Choose from {', '.join(each.id for each in every)}.")
    return found
