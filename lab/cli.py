"""The command line.

Each command is a thin shell: it reads names and options, calls what does the work, and prints. Errors
that the lab raises on purpose end as one message and the exit code of their kind; anything else is a
fault of the lab and keeps its traceback.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Column, Table

from lab import results as saved
from lab.catalogue import Scenario, discover, only_folder, select, shipped_scenarios
from lab.cli_out import writing_to
from lab.durations import parse_duration
from lab.errors import BadInput, ExitCode, LabError
from lab.proxies import PROXIES
from lab.words import Side

app = typer.Typer(
    name="lab",
    help="What nginx, HAProxy and Envoy do to a stream of tokens: every failure reproduced, every fix verified.",
    epilog="Exit codes: 0 all as required, 1 a requirement failed, 2 bad usage or a bad file, "
    "3 the environment (no engine, no image). Example: lab run silent-gap --proxy nginx",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # A traceback with the values of variables would show a key.
    pretty_exceptions_show_locals=False,
)
out = Console()
err = Console(stderr=True)

RESULTS = Path("lab-results")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SCENARIO]...", help="Scenarios, or one folder of your own; all if none is given."),
]
Proxies = Annotated[
    list[str] | None,
    typer.Option("--proxy", metavar="PROXY", help=f"Only behind this proxy, e.g. nginx or {next(iter(PROXIES))}."),
]


def say(line: str) -> None:
    """Print one line of progress."""
    # Never folded, so that a path in it can be copied.
    err.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command(epilog="Example: lab run silent-gap --proxy nginx")
def run(
    names: Names = None,
    proxy: Proxies = None,
    real_defaults: Annotated[
        bool, typer.Option("--real-defaults", help="Measure the products' own clocks as well; takes over a minute.")
    ] = False,
    to: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for results.json, report.html and junit.xml.")
    ] = RESULTS,
) -> None:
    """Run scenarios: broken sides must show their symptom, fixed sides must meet their requirement."""
    from lab.cli_run import run_and_report

    chosen = select(_scenarios(names), _ids(names), proxy or (), real_defaults=real_defaults)
    with _stopping():
        code = run_and_report(chosen, to, real_defaults=real_defaults, out=out, err=err)
    raise typer.Exit(code)


@app.command("list", epilog="Example: lab list --proxy envoy")
def list_(names: Names = None, proxy: Proxies = None) -> None:
    """List the scenarios, and behind which proxies each can be run."""
    chosen = select(_scenarios(names), _ids(names), proxy or ())
    name = Column("Scenario", no_wrap=True, min_width=max(len(scenario.id) for scenario in chosen))
    table = Table(name, "Group", "What goes wrong", "Proxies", box=None, pad_edge=False)
    for scenario in chosen:
        able = dict.fromkeys(s.proxy.id for s in scenario.stagings if s.side is not Side.IMMUNE)
        table.add_row(scenario.id, scenario.group, escape(scenario.title), " ".join(able))
    out.print(table)


@app.command(epilog="Example: lab show silent-gap")
def show(name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name, as in lab list.")]) -> None:
    """Tell a scenario's story, with the difference between its broken and fixed configurations."""
    from lab.catalogue.difference import fix_of

    for scenario in select(_scenarios([name]), _ids([name])):
        out.print(Markdown(scenario.readme))
        for staging in scenario.stagings:
            if staging.side is Side.FIXED:
                out.print(f"\n{staging.id}  {staging.title}".rstrip(), style="bold", highlight=False, markup=False)
                difference = fix_of(scenario, staging) or "The proxy's configuration stays as it is."
                out.print(difference, soft_wrap=True, highlight=False, markup=False)


@app.command(epilog="Example: lab up silent-gap nginx")
def up(
    name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name, as in lab list.")],
    proxy: Annotated[str, typer.Argument(metavar="PROXY", help="A product or a release, e.g. nginx or nginx-1.26.")],
) -> None:
    """Start a scenario's sides and print a curl command for each; ends at Ctrl-C."""
    from lab.cli_run import keep_up

    chosen = select(_scenarios([name]), _ids([name]), [proxy])
    with _stopping():
        asyncio.run(keep_up(chosen, out=out, say=say))


@app.command(epilog="Example: lab serve --port 8000")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="A file with the secret to obey; or set LAB_SECRET."),
    ] = None,
) -> None:
    """Serve the fake model on this machine, without a container; ends at Ctrl-C."""
    from lab.model.__main__ import main as serve_model

    secret = [] if secret_file is None else ["--secret-file", str(secret_file)]
    raise typer.Exit(serve_model(["--host", host, "--port", str(port), *secret]))


@app.command(epilog="Example: lab compare --over silent-batch-reply::nginx-1.30::broken")
def compare(
    over: Annotated[
        str, typer.Option("--over", metavar="SIDE", help="A side of a scenario: SCENARIO::PROXY::SIDE.")
    ] = "recommended::nginx-1.30::fixed",
    wire_format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="The wire format.")] = "openai-chat",
    levels: Annotated[str, typer.Option(metavar="N,N", help="How many at once, one level after another.")] = "1,4,16",
    rounds: Annotated[int, typer.Option(min=1, help="How often each level; below 6 no interval has 95 %.")] = 6,
    program: Annotated[bool, typer.Option("--program", help="No person waits for the answer.")] = False,
    whole_only: Annotated[bool, typer.Option("--whole-only", help="Half an answer is of no use.")] = False,
    longest: Annotated[str, typer.Option(metavar="DURATION", help="The longest generation to expect.")] = "",
    to: Annotated[Path, typer.Option("--out", file_okay=False, help="Folder for compare.json.")] = RESULTS,
) -> None:
    """Ask for the same generations streamed and batch, and say which to use, by rules."""
    from lab.cli_compare import Extent, Subject, compare_and_report, read_levels
    from lab.compare.advice import Need
    from lab.compare.own import GENERATIONS, own_path, side_named

    try:
        extent = Extent(read_levels(levels), rounds)
        need = Need(not program, not whole_only, parse_duration(longest) if longest else None)
    except ValueError as error:
        raise BadInput(str(error)) from None
    staging = side_named(discover(shipped_scenarios()), over)
    subject = Subject(own_path(staging, wire_format, say), staging.id, wire_format, GENERATIONS)
    with _stopping():
        code = compare_and_report(subject, extent, need, to, out=out, err=err)
    raise typer.Exit(code)


@app.command(epilog="Example: lab clients openai-3 httpx")
def clients(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLIENT]...", help="Clients; all if none is given.")
    ] = None,
    to: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for clients.json and clients.html.")
    ] = RESULTS,
) -> None:
    """Measure what real clients tell their users about every ending; installs them into the cache."""
    from lab.cli_clients import choose, clients_and_report

    with _stopping():
        clients_and_report(choose(names or ()), to, out=out, say=say)


@app.command(epilog="Example: lab race --port 8080")
def race(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
) -> None:
    """Show in a browser what a person waits for, streamed, held back and batch; ends at Ctrl-C."""
    from lab.cli_race import keep_racing

    with _stopping():
        asyncio.run(keep_racing(host, port, out=out, say=say))


@app.command(epilog="Example: lab audit https://gateway.example.com/v1/chat/completions --key-env GATEWAY_KEY")
def audit(
    url: Annotated[str, typer.Argument(metavar="URL", help="The endpoint, or a base like https://host/v1.")],
    wire_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="The wire format, where the path does not name it.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model to ask for.")] = "default",
    direct: Annotated[
        str | None, typer.Option(metavar="URL", help="The model's own address, to name what the path adds.")
    ] = None,
    hop: Annotated[
        list[str] | None, typer.Option("--hop", metavar="NAME=URL", help="A hop's address, to name the guilty one.")
    ] = None,
    longest: Annotated[str, typer.Option(metavar="DURATION", help="The longest answer to expect, like 10m.")] = "",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="The limit that each request sets.")] = 600,
    runs: Annotated[int, typer.Option(min=1, max=50, help="How often each setting is asked.")] = 3,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=50, help="Requests of the last round.")] = 3,
    http: Annotated[
        str, typer.Option(metavar="1.1|2|both", help="HTTP versions; both over TLS if none is given.")
    ] = "",
    key_env: Annotated[
        list[str] | None,
        typer.Option("--key-env", metavar="[WAY=]VARIABLE", help="The variable that holds the key, never the key."),
    ] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", metavar="FILE", help="A file with the key.")] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option("--header-env", metavar="HEADER=VARIABLE", help="Another secret header, from a variable."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates of an authority of your own, in PEM.")
    ] = None,
    actively: Annotated[
        bool, typer.Option("--active", help="The lab's own model server (lab serve) stands behind the path.")
    ] = False,
    model_url: Annotated[
        str | None, typer.Option("--model-url", metavar="URL", help="With --active: the model server's own address.")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="With --active: its secret; or set LAB_SECRET."),
    ] = None,
    to: Annotated[Path, typer.Option("--out", file_okay=False, help="Folder for the results and the page.")] = RESULTS,
) -> None:
    """Measure what a path of your own does to a stream; needs nothing installed behind it."""
    from lab.cli_active import Active
    from lab.cli_audit import Options, audit_and_report, read_wish

    if not actively and (model_url or secret_file):
        raise BadInput("--model-url and --secret-file are for --active", "Add --active, or leave them out.")
    options = Options(
        url=url,
        to=to,
        wire_format=wire_format,
        model=model,
        direct=direct,
        hops=tuple(hop or ()),
        longest=longest,
        wish=read_wish(runs, at_once, max_tokens, http),
        key_env=tuple(key_env or ()),
        key_file=key_file,
        header_env=tuple(header_env or ()),
        ca_file=ca_file,
        active=Active(model_url, secret_file) if actively else None,
    )
    raise typer.Exit(audit_and_report(options, os.environ, out=out, err=err))


@app.command(epilog="Example: lab report lab-results/results.json --out /tmp/report")
def report(
    file: Annotated[Path, typer.Argument(help="A results.json that lab run wrote.")] = RESULTS / "results.json",
    to: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Folder for the reports; the file's own if not given.")
    ] = None,
) -> None:
    """Make the reports again from saved results; starts no container."""
    from lab.reports import write_reports
    from lab.reports.terminal import print_results

    results = saved.load(file)
    with writing_to(to or file.parent):
        paths = write_reports(results, to or file.parent)
    print_results(results, out, paths.get("html"))


@app.command(epilog="Example: lab images")
def images() -> None:
    """Have every image of the lab: present, else pulled, else built; print which and how."""
    from lab.stage.engine import ensure_engine
    from lab.stage.images import TABLE, ensure

    with _stopping():
        ensure_engine(say).close()
        had = ensure(TABLE, say)
    table = Table("Image", "Reference", "Version", "How", box=None, pad_edge=False)
    for image in had.values():
        table.add_row(image.key, image.reference, image.version, image.how)
    out.print(table)


@app.command(epilog="Example: lab clean")
def clean() -> None:
    """Remove the lab's containers and networks, those of running labs included, and nothing else."""
    from lab.stage.engine import connect
    from lab.stage.sweep import sweep

    client = connect()
    try:
        swept = sweep(client, everything=True)
    finally:
        client.close()
    for what, names in (("container", swept.containers), ("network", swept.networks), ("folder", swept.folders)):
        for name in names:
            out.print(f"removed {what} {name}", soft_wrap=True, highlight=False, markup=False)
    if not swept:
        out.print("Nothing of the lab's is left.")


@app.command(epilog="Example: lab doctor")
def doctor() -> None:
    """Look at engine, images and versions, change nothing, and name the remedy for what is missing."""
    from lab.stage.doctor import examine

    findings = examine()
    for finding in findings:
        lines = [f"{'ok     ' if finding.ok else 'MISSING'}  {finding.what}"]
        lines += [] if finding.ok else [f"         {finding.remedy}"]
        out.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.NO_ENVIRONMENT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `lab.errors.ExitCode`)."""
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.by_kill)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A script starts what it puts into the background deaf to Ctrl-C, and kill goes the same way.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(None if argv is None else list(argv))
    except SystemExit as end:
        return stop.exit_code(end.code if isinstance(end.code, int) else ExitCode.BAD_INPUT)
    except LabError as error:
        say(f"lab: {error.problem}")
        if error.remedy:
            say(f"     {error.remedy}")
        return error.exit_code
    return ExitCode.AS_REQUIRED


class _Stop:
    """`kill` tidies up like Ctrl-C does, and only the exit code tells which of the two it was."""

    def __init__(self) -> None:
        self._killed = False

    def by_kill(self, *_: object) -> None:
        """The handler: hands on to Ctrl-C's own, which cancels whatever the event loop is at.

        An exception from here would not do: it may come up in any task and end that one only.
        """
        self._killed = True
        signal.raise_signal(signal.SIGINT)

    def exit_code(self, code: int) -> int:
        """The code that the shell expects of a command that ended with `code`."""
        return 128 + signal.SIGTERM if self._killed else code


@contextmanager
def _stopping() -> Iterator[None]:
    """A command that is stopped ends as the shell expects it, after everything was tidied up."""
    try:
        yield
    except KeyboardInterrupt:
        say("lab: stopped")
        raise typer.Exit(128 + signal.SIGINT) from None


def _scenarios(names: Sequence[str] | None) -> tuple[Scenario, ...]:
    return discover(_folder(names) or shipped_scenarios())


def _ids(names: Sequence[str] | None) -> Sequence[str]:
    return () if _folder(names) else names or ()


def _folder(names: Sequence[str] | None) -> Path | None:
    return only_folder(names or (), ids={folder.name for folder in shipped_scenarios().iterdir()})
