"""`lab check path.toml`: what a path of several hops does to the answers that it has to carry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lab.cli.active import FORMAT
from lab.cli.terminal import here, print_line
from lab.durations import write_duration
from lab.errors import ExitCode
from lab.saved import load_saved
from lab.suite.settle import Waits
from lab.verify.whole_path import (
    Answer,
    Fate,
    Hop,
    PathTable,
    answers_on,
    heartbeat_for,
    hops_of,
    read_path,
    silences_ended,
    unreached,
)

_STYLES = {Fate.CUT: "bold red", Fate.COMES_THROUGH: "green", Fate.CANNOT_TELL: "yellow"}

_COST = (
    "the first one says 200 before the model has begun. An error after that is no status such as 429 or 503, at which "
    "clients try again, but an error amid the stream."
)


def check_path_and_report(path: Path, waits: Waits, out: Console) -> ExitCode:
    """Read a path and print which hop ends which answers; returns the exit code, 1 unless all come through.

    Args:
        path: the file.
        waits: how long answers take, where the command says so and not the file.
        out: where to print.

    Raises:
        BadInput: the file, or one that it names.
    """
    table, folder = read_path(path), path.parent
    said = {"first_token": waits.first_token, "gap": waits.gap, "longest": waits.longest}
    table = table.model_copy(update={name: seconds for name, seconds in said.items() if seconds})
    audits = {each.audit: load_saved(folder / each.audit, FORMAT) for each in table.hops if each.audit is not None}
    hops = list(hops_of(table, folder, audits))
    answers = answers_on(table, hops)
    print_line(out, " -> ".join(["client", *(hop.name for hop in hops), "model"]), "bold")
    for hop in hops:
        print_line(out, here(f"  {hop.name}: {_timeouts(hop)}; {hop.basis}"))
    for answer in answers:
        print_line(out, f"{answer.fate}: {answer.words}{_by(answer)}", _STYLES[answer.fate])
    _show_heartbeats(table, hops, out)
    all_well = all(answer.fate is Fate.COMES_THROUGH for answer in answers)
    return ExitCode.AS_REQUIRED if all_well else ExitCode.REQUIREMENT_FAILED


def _timeouts(hop: Hop) -> str:
    """Each value once, with what it watches."""
    watched: dict[float, list[str]] = {}
    for each, seconds in hop.timeouts.items():
        watched.setdefault(seconds, []).append(each)
    return ", ".join(f"{write_duration(each)} ({', '.join(of)})" for each, of in watched.items()) or "no timeout"


def _by(answer: Answer) -> str:
    if answer.hop is None:
        return ""
    kind = answer.hop.basis.partition(":")[0]
    if answer.fate is Fate.CUT:
        return f", by {answer.hop.name} after {write_duration(answer.seconds)} ({answer.watched}; {kind})"
    return f": {answer.hop.name} was measured up to {write_duration(answer.seconds)} ({answer.watched})"


def _show_heartbeats(table: PathTable, hops: Sequence[Hop], out: Console) -> None:
    first, amid = silences_ended(table, hops)
    every = heartbeat_for(hops)
    if every is None or not (first or amid):
        return
    print_line(out, f"A heartbeat every {write_duration(every)} clears every hop.")
    for hop, front in unreached(hops):
        names = ", ".join(each.name for each in front)
        print_line(out, here(f"  {hop.name} may hold it back, so that none reaches {names}: {hop.holding}"))
    if first:
        print_line(out, f"  Its cost: {_COST}")
    print_line(out, "  It helps against no timeout on the whole, and no batch reply has any.")
