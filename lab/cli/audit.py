"""`lab audit`: measures a path that is not the lab's, says what it does to a stream, and keeps what was learnt.

The order matters: everything that can be refused is refused before the first request, the cost is stated before
it, and whatever ends the audit early, files are written of what came till then. Nothing is printed or written that
has not been masked.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from lab.audit.conclude.findings import conclude
from lab.audit.conclude.measured import measure
from lab.audit.programme import Wish, make_programme
from lab.audit.report.page import audit_page
from lab.audit.report.rows import exit_code
from lab.audit.report.text import print_audit
from lab.audit.results import FORMAT_VERSION, AuditResults, RouteResult, save
from lab.audit.run import Run
from lab.cli.active import Active, run_active
from lab.cli.options import duration
from lab.cli.out import writing_to
from lab.cli.shell import INTERRUPTED, run_until_stopped
from lab.cli.terminal import print_line
from lab.endpoint.address import Endpoint, endpoints_of, hosts
from lab.endpoint.keys import Keys, plain_header, read_keys
from lab.endpoint.own_request import own_request
from lab.errors import BadInput, ExitCode
from lab.evidence import HttpVersion
from lab.files import LONGEST_TEXT, read_whole, write_whole
from lab.reports.phrases import plural
from lab.wire.format import Ask

RESULT, PAGE = "audit.json", "audit.html"

PATIENCE = 120.0
"""Seconds that an answer may take where --longest says nothing."""

LEAST_PATIENCE = 15.0
"""Seconds that an answer may take however short the longest one is said to be: a first token takes its time."""

_MARGIN = 1.5
"""An answer may be that much longer than the longest one expected before the audit leaves it."""


@dataclass(frozen=True)
class AuditOptions:
    """What the command was given; see `lab audit --help`."""

    url: str
    to: Path
    wire_format: str | None = None
    model: str = "default"
    direct: str | None = None
    hops: Sequence[str] = ()
    longest: str = ""
    wish: Wish = field(default_factory=Wish)
    key_env: Sequence[str] = ()
    key_file: Path | None = None
    header_env: Sequence[str] = ()
    ca_file: Path | None = None
    headers: Sequence[str] = ()
    method: str | None = None
    body: Path | None = None
    active: Active | None = None
    strict: bool = False


@dataclass(frozen=True)
class _When:
    """When the run began, how many seconds it took, and whether it was stopped by hand."""

    started: str
    seconds: float
    interrupted: bool


def audit_and_report(options: AuditOptions, environment: Mapping[str, str], *, out: Console, err: Console) -> int:
    """Audit, save and print; returns the exit code.

    Raises:
        BadInput: an option, the address, the key or the request is wrong.
        EnvironmentFault: the endpoint cannot be reached, or the results cannot be written.
    """
    own = own_request(options.method, options.body)
    endpoints = endpoints_of(
        options.url,
        wire_format=options.wire_format,
        direct=options.direct,
        hops=options.hops,
        whole=own is not None,
    )
    keys = read_keys(
        endpoints[0].wire_format.name,
        hosts(endpoints),
        key_env=options.key_env,
        key_file=options.key_file,
        header_env=options.header_env,
        environment=environment,
    )
    longest = duration("--longest", options.longest)
    if options.active is not None:
        return _actively(options, options.active, endpoints, keys, longest, environment, out, err)
    run = _run_of(options, endpoints, own, keys, longest, err)
    with writing_to(options.to):
        options.to.mkdir(parents=True, exist_ok=True)
    started, began = datetime.now().astimezone(), time.monotonic()
    interrupted = False
    try:
        run_until_stopped(run.run())
    except KeyboardInterrupt:
        interrupted = True
    when = _When(started.isoformat(timespec="seconds"), round(time.monotonic() - began, 3), interrupted)
    results = _results(options, endpoints, run, longest, when)
    results = keys.mask.everything(results)
    _write(results, options.to)
    return _report(results, run, keys, options, out=out, interrupted=interrupted)


def _actively(
    options: AuditOptions,
    active: Active,
    endpoints: Sequence[Endpoint],
    keys: Keys,
    longest: float | None,
    environment: Mapping[str, str],
    out: Console,
    err: Console,
) -> int:
    if len(endpoints) > 1:
        raise BadInput("--active: measures one route", "Leave out --direct and --hop; audit each route by itself.")
    return run_active(
        endpoints[0],
        active,
        keys,
        model=options.model,
        longest=longest,
        contexts=(tls_of(options.ca_file), tls_of(options.ca_file)),
        environment=environment,
        to=options.to,
        out=out,
        err=err,
    )


def read_wish(runs: int | None, at_once: int | None, max_tokens: int | None, http: str) -> Wish:
    """The options on what is asked for; None for what is asked where nothing is said.

    Raises:
        BadInput: the HTTP version is none.
    """
    versions = {"": (), "1.1": (HttpVersion.HTTP_1_1,), "2": (HttpVersion.HTTP_2,), "both": tuple(HttpVersion)}
    if http not in versions:
        raise BadInput(f"--http {http}: no such version", "Write 1.1, 2 or both.")
    usual = Wish()
    return Wish(runs or usual.runs, at_once or usual.at_once, max_tokens or usual.max_tokens, versions[http])


def _run_of(
    options: AuditOptions,
    endpoints: Sequence[Endpoint],
    own: Ask | None,
    keys: Keys,
    longest: float | None,
    err: Console,
) -> Run:
    """The run, with its cost stated."""
    programme = replace(make_programme(endpoints, options.wish), own=own is not None)
    mask = keys.mask

    def say(line: str) -> None:
        print_line(err, mask.text(line))

    headers = tuple(plain_header(entry) for entry in options.headers)
    run = Run(programme, keys, options.model, patience_of(longest), tls_of(options.ca_file), say, headers, own)
    method = own.method if own else "POST"
    for endpoint in endpoints:
        sources = ", ".join(secret.source for secret in keys.of(endpoint.route.name)) or "none"
        asked = f"{method} {endpoint.route.url} ({endpoint.wire_format.name})"
        say(f"{endpoint.route.name}: {asked}, secrets sent: {sources}")
    say(programme.cost())
    say(programme.duration(run.longest))
    if programme.left_out:
        say(f"left out to stay below that: {'; '.join(programme.left_out)}")
    return run


def patience_of(longest: float | None) -> float:
    """Seconds that an answer may take, given the longest one to expect; None where nothing was said."""
    return PATIENCE if longest is None else max(LEAST_PATIENCE, longest * _MARGIN)


def tls_of(ca_file: Path | None) -> ssl.SSLContext | None:
    """The system's authorities, and the user's own beside them; None for the system's alone.

    Raises:
        BadInput: the file cannot be read, or holds no certificates.
    """
    if ca_file is None:
        return None
    context = ssl.create_default_context()
    try:
        # Comments between the certificates may be in any script.
        certificates = read_whole(ca_file, LONGEST_TEXT, handed_over=True).decode("ascii", "ignore")
        context.load_verify_locations(cadata=certificates)
    except (OSError, ValueError) as error:
        remedy = "Give a file with the certificates of your authority, in PEM."
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{ca_file}: {why}", remedy) from None
    return context


def _results(
    options: AuditOptions,
    endpoints: Sequence[Endpoint],
    run: Run,
    longest: float | None,
    when: _When,
) -> AuditResults:
    stopped, remedy = (run.stop.problem, run.stop.remedy) if run.stop else ("", "")
    if when.interrupted:
        stopped, remedy = "stopped by hand", ""
    telling = run.telling
    judged = {id(sample) for sample in telling}
    return AuditResults(
        format_version=FORMAT_VERSION,
        lab_version=version("token-stream-lab"),
        started=when.started,
        wall_seconds=when.seconds,
        routes=tuple(RouteResult(endpoint.route.name, endpoint.route.url) for endpoint in endpoints),
        wire_format=endpoints[0].wire_format.name,
        model=options.model,
        longest=longest,
        requests=run.made,
        planned=run.programme.requests,
        max_tokens=run.programme.max_tokens,
        stopped=stopped,
        remedy=remedy,
        notes=(*(f"left out: {words}" for words in run.programme.left_out), *_unasked(run), *run.notes),
        unmeasured=tuple(run.unmeasured),
        stopped_by=run.stop.code if run.stop and not when.interrupted else ExitCode.AS_REQUIRED,
        samples=tuple(measure(sample, judged=id(sample) in judged) for sample in run.samples),
        conclusions=conclude(telling, longest=longest) if telling else None,
    )


def _unasked(run: Run) -> tuple[str, ...]:
    """What was not asked so that the bounds hold."""
    return tuple(f"{plural(requests, 'request')} not made, so that {bound}" for bound, requests in run.unasked.items())


def _write(results: AuditResults, to: Path) -> None:
    with writing_to(to):
        save(results, to / RESULT)
        write_whole(to / PAGE, audit_page(results))


def _report(
    results: AuditResults, run: Run, keys: Keys, options: AuditOptions, *, out: Console, interrupted: bool
) -> int:
    """Print the verdict, or raise what made one impossible."""
    to = options.to
    error = run.stop.error() if run.stop and not interrupted else None
    if results.conclusions is not None:
        print_audit(results, out, to / PAGE)
    if interrupted:
        return INTERRUPTED
    if error is None or exit_code(results) is ExitCode.REQUIREMENT_FAILED:
        return exit_code(results, strict=options.strict)
    # Not everything was measured, so that nobody may read this as a pass.
    raise type(error)(keys.mask.text(error.problem), f"{error.remedy} What was learnt is in {to / RESULT}.")
