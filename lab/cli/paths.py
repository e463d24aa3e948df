"""The commands for a path of the user's own: audit, compare and load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import FORMATS, Binaries, Runner
from lab.cli.own_files import AtPath, Headers, Host, file_options, headers_of, product_and_file
from lab.cli.shell import RESULTS, app, err, out, say, without_signals
from lab.errors import BadInput
from lab.vocabulary import RunnerName

if TYPE_CHECKING:
    from lab.cli.verify import VerifyOptions


@app.command(epilog="Example: lab audit https://gateway.example.com/v1/chat/completions --model NAME --key-env KEY")
def audit(
    url: Annotated[str, typer.Argument(metavar="URL", help="The endpoint, or a base like https://host/v1.")],
    wire_format: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help=f"The wire format, where the path does not name it: {FORMATS}."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The model to ask for.", show_default="default; with --active lab"),
    ] = None,
    direct: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The model's own address, to name what the path adds; not for --active."),
    ] = None,
    hop: Annotated[
        list[str] | None,
        typer.Option("--hop", metavar="NAME=URL", help="A hop's address, to name the culprit; not for --active."),
    ] = None,
    longest: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="The longest answer to expect; one is given up at 1.5 times. Active: how far to look for timeouts.",
            show_default="2m; with --active 60s",
        ),
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 also where something cannot be told; not for --active.")
    ] = False,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help="The limit that each request sets; not for --active.", show_default="600"
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, max=50, help="How often each setting is asked; not for --active.", show_default="3"),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            "--at-once",
            min=1,
            max=50,
            help="Requests of the last round; with --active: of all at a time.",
            show_default="3; with --active what the path takes",
        ),
    ] = None,
    http: Annotated[
        str, typer.Option(metavar="1.1|2|both", help="HTTP versions; both over TLS if none is given; not for --active.")
    ] = "",
    key_env: Annotated[
        list[str] | None,
        typer.Option(
            "--key-env",
            metavar="[ROUTE=]VARIABLE",
            help="The variable that holds the key, never the key; for all routes, or for path, direct or a hop's name.",
        ),
    ] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", metavar="FILE", help="A file with the key.")] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option("--header-env", metavar="HEADER=VARIABLE", help="Another secret header, from a variable."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME=VALUE", help="Another header that is no secret."),
    ] = None,
    body: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask with this JSON, as your application does; not for --active."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="METHOD", help="GET, for one; not for --active.", show_default="POST"),
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
    """Measure what a path of your own does to a stream. Behind it stands your model; with --active, lab serve.

    Exit codes: 0 nothing is known to be wrong, 1 the path fails (with --strict also: something cannot be told),
    2 the address, the key or an option is wrong, 3 the endpoint cannot be reached or limits the rate.
    """
    with without_signals():
        from lab.cli.active import Active
        from lab.cli.audit import AuditOptions, audit_and_report, read_wish
        from lab.wire.format import DEFAULT_MODEL

    if not actively and (model_url or secret_file):
        raise BadInput("--model-url and --secret-file are for --active", "Add --active, or leave them out.")
    passive = {"--body": body, "--method": method, "--runs": runs, "--max-tokens": max_tokens}
    passive |= {"--http": http, "--strict": strict}
    given = ", ".join(name for name, value in passive.items() if value)
    if actively and given:
        raise BadInput(f"{given}: not for --active", "Leave that out: an active audit knows itself what it must ask.")
    options = AuditOptions(
        url=url,
        to=to,
        wire_format=wire_format,
        model=model or (DEFAULT_MODEL if actively else "default"),
        direct=direct,
        hops=tuple(hop or ()),
        longest=longest,
        wish=read_wish(runs, at_once, max_tokens, http),
        key_env=tuple(key_env or ()),
        key_file=key_file,
        header_env=tuple(header_env or ()),
        ca_file=ca_file,
        headers=tuple(header or ()),
        method=method,
        body=body,
        active=Active(model_url, secret_file, at_once, tuple(header or ())) if actively else None,
        strict=strict,
    )
    raise typer.Exit(audit_and_report(options, os.environ, out=out, err=err))


@app.command(
    epilog="Example: lab compare https://gateway.example.com/v1/chat/completions --key-env GATEWAY_KEY, or over one of "
    "the lab's paths: lab compare --over silent-batch-reply::nginx-1.30::broken"
)
def compare(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="An endpoint of your own, or a base like https://host/v1.")
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            metavar="CASE", help="Without a URL: a case of a scenario.", show_default="recommended::nginx-1.30::fixed"
        ),
    ] = None,
    wire_format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help=f"The wire format: {FORMATS}.", show_default="the URL's, or openai-chat"
        ),
    ] = None,
    concurrency: Annotated[
        str,
        typer.Option(
            metavar="N,N", help="How many at once, one level after another.", show_default="1,4,16; for a URL 1,2,4"
        ),
    ] = "",
    runs: Annotated[int, typer.Option(min=1, max=50, help="How often each; below 6 there are no intervals.")] = 6,
    program: Annotated[bool, typer.Option("--program", help="No person waits for the answer.")] = False,
    whole_only: Annotated[bool, typer.Option("--whole-only", help="Half an answer is of no use.")] = False,
    longest: Annotated[str, typer.Option(metavar="DURATION", help="The longest generation to expect, like 10m.")] = "",
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="For a URL: the model to ask for.", show_default="default")
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, help="For a URL: the limit of each answer.", show_default="300"),
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(
            "--key-env", metavar="VARIABLE", help="For a URL: the variable that holds the key, never the key."
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="For a URL: a file with the key.")
    ] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option("--header-env", metavar="HEADER=VARIABLE", help="For a URL: another secret header."),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="For a URL: certificates of an authority of your own, in PEM."),
    ] = None,
    to: Annotated[Path, typer.Option("--out", file_okay=False, help="Folder for the results and the page.")] = RESULTS,
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Ask for the same generations streamed and batch, and say which to use, by rules."""
    with without_signals():
        from lab.cli.compare import CompareOptions, compare_and_report, subject_of
        from lab.testbed.supply import RunnerWish

    options = CompareOptions(
        url=url,
        over=over,
        wire_format=wire_format,
        concurrency=concurrency,
        runs=runs,
        program=program,
        whole_only=whole_only,
        longest=longest,
        model=model,
        max_tokens=max_tokens,
        key_env=key_env,
        key_file=key_file,
        header_env=header_env,
        ca_file=ca_file,
        wish=RunnerWish(runner, tuple(binary or ())),
    )
    subject = subject_of(options, os.environ, say)
    raise typer.Exit(compare_and_report(subject, options.extent, options.need, to, out=out, err=err))


@app.command(
    epilog="Example: lab load bursts::haproxy-3.0::broken --against bursts::haproxy-3.0::fixed --streams 100 --hold 20s"
)
def load(
    target: Annotated[
        str,
        typer.Argument(
            metavar="URL|CASE|FILE",
            help="An address that leads to lab serve, a case of a scenario, or a file of yours as PRODUCT:FILE or "
            "PRODUCT:VERSION:FILE.",
        ),
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="CASE|FILE", help="Another one, with the same load; can be given again."),
    ] = None,
    streams: Annotated[int, typer.Option(min=1, help="How many; each is one request.")] = 100,
    ramp: Annotated[str, typer.Option(metavar="DURATION", help="They begin over so long.")] = "10s",
    hold: Annotated[str, typer.Option(metavar="DURATION", help="All of them are open for so long.")] = "60s",
    interval: Annotated[str, typer.Option(metavar="DURATION", help="From one token to the next.")] = "1s",
    processes: Annotated[int, typer.Option(min=1, max=64, help="That make the load.")] = 1,
    yes: Annotated[
        bool, typer.Option("--yes", help="More than 200 streams at an address that is not this machine's.")
    ] = False,
    path: AtPath = "",
    host: Host = "",
    header: Headers = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model to ask for.")] = "default",
    wire_format: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help=f"For a URL: {FORMATS}.", show_default="its own, or openai-chat"),
    ] = "",
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="VARIABLE", help="For a URL: the variable that holds the key.")
    ] = "",
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="For a URL: certificates of an authority of your own, in PEM."),
    ] = None,
    to: Annotated[Path, typer.Option("--out", file_okay=False, help="Folder for the results.")] = RESULTS,
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Hold many streams at once over a path, and say how late each token was and what became of each stream."""
    with without_signals():
        from lab.cli.load import LoadOptions, load_and_report, terms_for
        from lab.cli.options import duration
        from lab.load.run import Load
        from lab.load.terms import RequestTerms
        from lab.testbed.supply import RunnerWish

    seconds = {
        name: duration(f"--{name}", text) or 0.0
        for name, text in (("ramp", ramp), ("hold", hold), ("interval", interval))
    }
    asked = Load(streams, **seconds, processes=processes)
    if asked.interval <= 0:
        raise BadInput("--interval: there must be some time between tokens.", "Write it like 1s or 50ms.")
    terms = RequestTerms(wire_format, model, headers_of(header))
    theirs, files = bool(wire_format or key_env or ca_file), bool(path or host)
    if "://" in target:
        if against:
            raise BadInput("--against is for cases and files, which are up together.", "Name one in place of a URL.")
        if files:
            raise BadInput("--path and --host are for a file of yours.", "Write the path into the URL.")
        url, terms = terms_for(target, terms, key_env, ca_file, os.environ, say)
        options = LoadOptions(asked, url, terms=terms, yes=yes)
    else:
        if theirs:
            raise BadInput("--format, --key-env and --ca-file are for a URL.", "Give a URL, or leave them out.")
        targets = tuple(dict.fromkeys((target, *(against or ()))))
        chosen = (runner, binary)
        options = LoadOptions(
            asked,
            targets=targets,
            files={each: _own_file(each, (path, host, None), chosen) for each in targets if "::" not in each},
            terms=terms,
            wish=RunnerWish(runner, tuple(binary or ())),
        )
    raise typer.Exit(load_and_report(options, to, out=out, say=say))


def _own_file(text: str, where: tuple[str, str, None], runner: tuple[RunnerName, list[Path] | None]) -> VerifyOptions:
    try:
        product, version, file = product_and_file(text)
    except BadInput:
        remedy = "Give a URL, a case such as bursts::nginx-1.26::broken (see lab list), or nginx:1.26:./nginx.conf."
        raise BadInput(f"{text}: neither an address nor a case nor a file.", remedy) from None
    return file_options(product, file, where, ("", "", ""), version, None, runner)
