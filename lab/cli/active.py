"""`lab audit --active`: the lab's own model server stands behind the path, so that the audit has ground truth.

The secret of the model server comes from a file or from `LAB_SECRET`. It goes over the audited path, and, without
--model-url, with the requests for the ledger, which take that path too; it is masked like every other key.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from lab.audit.conclude.hops import hop_clues
from lab.audit.report.active_page import active_page
from lab.audit.report.active_text import print_active
from lab.cli.out import writing_to
from lab.cli.shell import INTERRUPTED, run_until_stopped
from lab.cli.terminal import print_line
from lab.endpoint.address import Endpoint, split_address
from lab.endpoint.keys import Keys, plain_header, refuse_clear_text
from lab.endpoint.mask import Mask
from lab.errors import BadInput, ExitCode
from lab.files import write_whole
from lab.judge import Exchanged
from lab.measure.findings import ActiveFindings
from lab.measure.run import ActiveRun
from lab.measure.target import AuditTarget
from lab.model.secret import SECRET_HEADER, SecretError, read_secret
from lab.saved import Format, write_saved
from lab.vocabulary import Saved, State
from lab.wire.format import DEFAULT_MODEL

RESULT, PAGE = "active.json", "active.html"

LONGEST = 60.0
"""Seconds up to which timeouts are looked for where --longest says nothing."""

Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]
"""For the path and for the side channel, which must not share one; None for the system's authorities."""

FORMAT = Format(Saved.ACTIVE_AUDIT, 1, TypeAdapter(ActiveFindings))


@dataclass(frozen=True)
class Active:
    """The options of an active audit.

    Args:
        model_url: the model server's own address; None to reach it through the path.
        secret_file: the file with its secret; None to look for the variable.
        at_once: how many exchanges may run at a time; None to find out what the path takes.
        headers: `NAME=VALUE` of request headers that are no secret.
    """

    model_url: str | None = None
    secret_file: Path | None = None
    at_once: int | None = None
    headers: Sequence[str] = ()


def run_active(
    endpoint: Endpoint,
    active: Active,
    keys: Keys,
    *,
    model: str,
    longest: float | None,
    contexts: Contexts,
    environment: Mapping[str, str],
    to: Path,
    out: Console,
    err: Console,
) -> int:
    """Audit, save and print; returns the exit code.

    Raises:
        BadInput: the secret, an address or the length makes no sense.
        EnvironmentFault: the path or the model server cannot be reached, or the result cannot be written.
    """
    target = target_of(endpoint, active, keys, contexts, environment, model)
    # Worked out here, so that an address that cannot be used is told before anything is asked.
    side_url = target.side_url
    say = _saying(err, target.mask)
    say(f"path: POST {endpoint.route.url} ({endpoint.wire_format.name}); ledger at {side_url}")
    with writing_to(to):
        to.mkdir(parents=True, exist_ok=True)
    run = ActiveRun(target, LONGEST if longest is None else longest, say, active.at_once)
    started, interrupted = datetime.now().astimezone(), False
    try:
        run_until_stopped(run.run())
    except KeyboardInterrupt:
        interrupted = True
    findings = replace(
        run.findings(), started=started.isoformat(timespec="seconds"), products=_products(endpoint, run.made)
    )
    _write(findings, to, started)
    print_active(findings, out)
    say(f"Report: {to / PAGE}")
    if interrupted:
        return INTERRUPTED
    return exit_code(findings)


def exit_code(findings: ActiveFindings) -> ExitCode:
    """1 where a requirement is not met, 3 where most exchanges never came to the model server, or the path is out."""
    if any(each.state is State.NOT_MET for each in findings.observations):
        return ExitCode.REQUIREMENT_FAILED
    out = findings.still_out or 2 * findings.never_came > findings.requests
    return ExitCode.NO_ENVIRONMENT if out else ExitCode.AS_REQUIRED


def _products(endpoint: Endpoint, made: Sequence[Exchanged]) -> tuple[str, ...]:
    """What the replies show on the path."""
    clues = (clue for each in made for clue in hop_clues(endpoint.route.name, each.evidence.trace))
    return tuple(dict.fromkeys(clue.product for clue in clues))


def _write(findings: ActiveFindings, to: Path, started: datetime) -> None:
    with writing_to(to):
        save(findings, to / RESULT, started)
        write_whole(to / PAGE, active_page(findings))


def save(findings: ActiveFindings, path: Path, started: datetime | None = None) -> None:
    """Write the findings as JSON, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_saved(path, FORMAT, findings, started=started)


def target_of(
    endpoint: Endpoint,
    active: Active,
    keys: Keys,
    contexts: Contexts,
    environment: Mapping[str, str],
    model: str = DEFAULT_MODEL,
) -> AuditTarget:
    """What is audited, with the secrets in the headers that carry them.

    Raises:
        BadInput: the secret cannot be used, or would leave in clear text.
    """
    model_url = _checked(active.model_url)
    try:
        secret = read_secret(active.secret_file, environment)
    except SecretError as error:
        raise BadInput(str(error), "Give the secret that lab serve was started with.") from None
    own = [pair.plain() for pair in keys.of(endpoint.route.name)]
    ours = [] if secret is None else [(SECRET_HEADER, secret)]
    if secret is not None:
        refuse_clear_text(endpoint.route.url)
        if model_url is not None:
            refuse_clear_text(model_url)
        if not keys.of(endpoint.route.name):
            # A gateway may drop a header that it does not know; it passes the key on that every client sends.
            ours.append(endpoint.wire_format.key_header(secret))
    secrets = [value for _, value in (*own, *ours)]
    plain = [plain_header(entry) for entry in active.headers]
    return AuditTarget(
        endpoint=endpoint,
        model_url=model_url,
        headers=(*own, *ours, *plain),
        model_headers=tuple(ours) if model_url is not None else (*own, *ours, *plain),
        model=model,
        mask=Mask.of(secrets),
        tls=contexts[0],
        model_tls=contexts[1],
    )


def _checked(url: str | None) -> str | None:
    """The model server's own address; nothing secret may stand in it, no more than in the audited one."""
    if url is None:
        return None
    remedy = "Write it like http://10.0.0.5:8000."
    try:
        place = split_address(url)
    except BadInput as error:
        raise BadInput(f"--model-url: {error.problem}", remedy) from None
    if place.query:
        raise BadInput("--model-url: what stands after ? has no place there", remedy)
    return url


def _saying(err: Console, mask: Mask) -> Callable[[str], None]:
    def say(line: str) -> None:
        print_line(err, mask.text(line))

    return say
