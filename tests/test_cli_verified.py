"""What `lab verify` and `lab fix` print, and with which code they end."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from lab.cli import verify as command
from lab.cli.own_files import file_options
from lab.cli.verified import brief, show, show_fix, show_replaced
from lab.cli.verify import VerifyOptions, fix_and_report, verify_and_report
from lab.errors import BadInput, ExitCode
from lab.judge import Observation
from lab.products import PRODUCTS, PROXIES
from lab.products.adapted import Entrance, EntranceWish, Mending, Spot
from lab.products.nginx.adapt import adapt
from lab.verify.formats import measured
from lab.verify.rounds import UserFile
from lab.verify.search import Verified
from lab.verify.template import template
from lab.vocabulary import Requirement, RunnerName, State

DELIVERY, SILENCE, ONCE = (
    Requirement.DELIVERS_TOKENS_AS_THEY_COME,
    Requirement.SURVIVES_SILENCE,
    Requirement.GENERATES_ONCE,
)
TEXT = """\
server {
    listen 80;
    location /a/ {
        proxy_pass http://a;
    }
    location /b/ {
        proxy_pass http://b;
        proxy_buffering on;
    }
}
"""


def found(entrance: Entrance, states: Mapping[Requirement, State], fix: tuple[str, ...] = ()) -> Verified:
    """One entrance of which each requirement was so observed; a fix mends all."""
    observations = {each: Observation(each, state, "", "such as x", doubt="late" if state is State.INCONCLUSIVE else "")
                    for each, state in states.items()}  # fmt: skip
    failed = [each for each, state in states.items() if state is State.NOT_MET]
    causes = {each: tuple(Mending(line, None) for line in fix) for each in failed}
    after = {each: Observation(each, State.MET, "", "") for each in states}
    return Verified(entrance, observations, causes, fix, after if fix else {}, fix, ())


def run(
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    states: Mapping[Requirement, State],
    *,
    write: bool | None,
    format_name: str = "text",
) -> Any:
    """The code and the text of `lab verify`, or of `lab fix` where `write` is given."""
    adapter = adapt(path, EntranceWish())
    subject = UserFile(path, PROXIES["nginx-1.30"], adapter)
    fix = ("proxy_buffering off;",) if State.NOT_MET in states.values() else ()
    each = [found(entrance, states, fix) for entrance in adapter.entrances]
    monkeypatch.setattr(command, "_verified", lambda *_, **__: (subject, each))
    out = Console(file=io.StringIO(), width=200)
    given = cast("Any", None)
    code = (
        verify_and_report(given, format_name, out=out, err=Console(file=io.StringIO()), say=lambda _: None)
        if write is None
        else fix_and_report(given, write=write, out=out, say=lambda _: None)
    )
    return code, cast("io.StringIO", out.file).getvalue()


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "chat.conf"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (State.MET, ExitCode.AS_REQUIRED),
        (State.NOT_MET, ExitCode.REQUIREMENT_FAILED),
        (State.INCONCLUSIVE, ExitCode.REQUIREMENT_FAILED),
    ],
)
def test_only_what_is_met_ends_well(monkeypatch: pytest.MonkeyPatch, path: Path, state: State, code: ExitCode) -> None:
    """What cannot be told is on a line of its own, and no success."""
    ended, text = run(monkeypatch, path, {ONCE: State.MET, SILENCE: state}, write=None)
    assert ended is code
    assert ("cannot tell: survives-silence: late" in text) is (state is State.INCONCLUSIVE)
    assert ("not met: survives-silence" in text) is (state is State.NOT_MET)
    assert run(monkeypatch, path, {ONCE: State.MET, SILENCE: state}, write=False)[0] is (
        ExitCode.AS_REQUIRED if state is State.NOT_MET else code
    )


@pytest.mark.parametrize("format_name", ["json", "sarif", "github", "junit"])
def test_a_pipeline_gets_its_format_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, path: Path, format_name: str
) -> None:
    """The words for people go where progress goes; the code is the same."""
    states = {ONCE: State.MET, SILENCE: State.NOT_MET}
    code, text = run(monkeypatch, path, states, write=None, format_name=format_name)
    assert code is ExitCode.REQUIREMENT_FAILED
    assert "survives-silence" in text
    assert text.startswith({"json": "[", "sarif": "{", "github": "::error file=", "junit": "<?xml"}[format_name])
    assert "What was run is a copy" not in text


def test_a_fix_of_several_places_is_one_difference_and_written_once(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """Without --write nothing is; with it, the file as it was stays beside it."""
    states = {ONCE: State.MET, DELIVERY: State.NOT_MET}
    _, text = run(monkeypatch, path, states, write=False)
    assert text.count("+++") == 1
    assert (path.read_text(), list(path.parent.iterdir())) == (TEXT, [path])
    run(monkeypatch, path, states, write=True)
    off = TEXT.replace("proxy_buffering on;", "proxy_buffering off;")
    assert path.read_text() == off.replace("/a/ {\n", "/a/ {\n        proxy_buffering off;\n")
    assert (path.parent / ".chat.conf.before-fix").read_text() == TEXT


def test_the_line_ends_of_windows_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a product whose files are read with any: the difference has none of them, the file has them all."""
    path = tmp_path / "haproxy.cfg"
    text = (
        "defaults\n    mode http\nfrontend f\n    bind :80\n    default_backend b\nbackend b\n    server a gpu:8000\n"
    )
    path.write_bytes(text.replace("\n", "\r\n").encode())
    product = PROXIES["haproxy-3.2"]
    assert product.product.adapt is not None
    adapter = product.product.adapt(path, EntranceWish())
    each = [found(adapter.entrances[0], {DELIVERY: State.NOT_MET}, ("option abortonclose",))]
    monkeypatch.setattr(command, "_verified", lambda *_, **__: (UserFile(path, product, adapter), each))
    out = Console(file=io.StringIO(), width=200)
    fix_and_report(cast("Any", None), write=True, out=out, say=lambda _: None)
    changed = text.replace("    server", "    option abortonclose\n    server")
    assert path.read_bytes() == changed.replace("\n", "\r\n").encode()
    said = cast("io.StringIO", out.file).getvalue().splitlines()
    assert [line for line in said if line[:1] in "+-" and line[1:2] == " "] == ["+    option abortonclose"]


def test_evidence_is_short_and_keeps_its_numbers() -> None:
    """The first exchange as a whole; of another that it does too, or all of it if that is short."""
    tokens = "coalesced, complete: 20 of 20 tokens came; reason 'stop' and terminal marker; 9 of 20 holds ran out"
    assert brief(f"tokens: {tokens}; large-tokens: {tokens}") == (
        "tokens: coalesced: 20 of 20 tokens came; 9 of 20 holds ran out; large-tokens too"
    )
    assert brief("one: generated 3 times; two: generated 2 times") == "one: generated 3 times; two: generated 2 times"


def test_where_nothing_is_met_it_is_said_what_may_be_wrong() -> None:
    """The same evidence stands once."""
    spot = Spot(Path("chat.conf"), 3, "location / {")
    entrance = Entrance("location /", "/ask", "", secure=False, spot=spot)
    out = Console(file=io.StringIO(), width=200)
    subject = UserFile(Path("chat.conf"), PROXIES["nginx-1.30"], cast("Any", None))
    show(subject, found(entrance, dict.fromkeys((DELIVERY, SILENCE), State.NOT_MET)), out)
    text = cast("io.StringIO", out.file).getvalue()
    assert text.count("such as x") == 1
    assert "Nothing came through: --path" in text


@pytest.mark.parametrize(("product", "expected"), [("apache-2.4.71", False), ("nginx-1.30", True)])
def test_lab_fix_is_named_where_it_can_mend_something(tmp_path: Path, product: str, expected: bool) -> None:
    """Into a file that is run as it stands no setting can be put; and a copy that is the file is told as none."""
    path = tmp_path / "file.conf"
    path.write_text("# ${PORT} ${MODEL}" if product.startswith("apache") else TEXT)
    adapter = template(path, EntranceWish()) if product.startswith("apache") else adapt(path, EntranceWish())
    subject, entrance = UserFile(path, PROXIES[product], adapter), adapter.entrances[0]
    out = Console(file=io.StringIO(), width=200)
    each = found(entrance, {DELIVERY: State.MET, SILENCE: State.NOT_MET})
    show(subject, each, out)
    show_replaced(subject, [each], out)
    printed = cast(io.StringIO, out.file).getvalue()
    assert ("`lab fix`" in printed) is expected
    assert "0 things" not in printed


def test_what_fails_by_chance_is_no_lines_doing(tmp_path: Path) -> None:
    """It counts, and there is nothing for `lab fix` to look for."""
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    adapter = adapt(path, EntranceWish())
    subject, out = UserFile(path, PROXIES["nginx-1.30"], adapter), Console(file=io.StringIO(), width=200)
    each = found(adapter.entrances[0], {DELIVERY: State.MET, SILENCE: State.NOT_MET})
    each = replace(each, causes={SILENCE: ()}, tried=("one on;",), chance=frozenset({SILENCE}))
    show(subject, each, out)
    show_fix(each, out)
    printed = cast(io.StringIO, out.file).getvalue()
    assert printed.count("et 3 times when asked again as it is: it fails now and then") == 2
    assert "nothing to mend in this file" in printed
    assert "lab fix" not in printed
    assert "no change alone" not in printed
    (entry,) = [each for each in measured([each]) if each.broken]
    assert "it fails now and then" in entry.message


@pytest.mark.parametrize("chance", [False, True])
def test_a_fix_is_not_the_end_of_what_fails_by_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chance: bool
) -> None:
    """It is told beside the fix, and a pipeline hears of it."""
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    product = PROXIES["nginx-1.30"]
    adapter = adapt(path, EntranceWish())
    each = found(adapter.entrances[0], {DELIVERY: State.NOT_MET, SILENCE: State.NOT_MET}, ("proxy_buffering off;",))
    if chance:
        each = replace(each, causes={**each.causes, SILENCE: ()}, chance=frozenset({SILENCE}))
    monkeypatch.setattr(command, "_verified", lambda *_, **__: (UserFile(path, product, adapter), [each]))
    out = Console(file=io.StringIO(), width=200)
    code = fix_and_report(cast("Any", None), write=False, out=out, say=lambda _: None)
    printed = cast(io.StringIO, out.file).getvalue()
    assert code is (ExitCode.REQUIREMENT_FAILED if chance else ExitCode.AS_REQUIRED)
    assert "mended, as was seen" in printed
    assert ("not met: survives-silence" in printed) is chance
    assert ("it fails now and then" in printed) is chance


@pytest.mark.parametrize("keeps", [True, False])
def test_what_no_run_shows_is_told_where_the_file_lacks_the_setting(tmp_path: Path, keeps: bool) -> None:
    """Traefik's race, of which every copy is free."""
    path = tmp_path / "traefik.yml"
    transport = ", transport: {keepAliveMaxRequests: 1}" if keeps else ""
    path.write_text(f"entryPoints: {{web: {{address: ':80'{transport}}}}}\nproviders: {{file: {{filename: d.yml}}}}\n")
    servers = "{loadBalancer: {servers: [{url: 'http://m'}]}}"
    (tmp_path / "d.yml").write_text(
        f"http: {{routers: {{r: {{rule: PathPrefix(`/`), service: s}}}}, services: {{s: {servers}}}}}\n"
    )
    product = PRODUCTS["traefik"]
    assert product.adapt is not None
    adapter = product.adapt(path, EntranceWish())
    entrance = adapter.entrances[0]
    each = replace(found(entrance, {DELIVERY: State.MET}), replaced=tuple(adapter.replacements(entrance)))
    out = Console(file=io.StringIO(), width=200)
    show_replaced(UserFile(path, PROXIES["traefik-3.7"], adapter), [each], out)
    assert ("Not shown by any run: Traefik cuts" in cast(io.StringIO, out.file).getvalue()) is not keeps


def options(path: str, longest: str) -> VerifyOptions:
    """As the command line gives them, of a file that is not there."""
    return file_options(
        "nginx", Path("nowhere"), (path, "", None), (longest, "", ""), "", None, (RunnerName.AUTO, None)
    )


def test_an_option_that_makes_no_sense_is_one_message() -> None:
    """Before anything is started."""
    with pytest.raises(BadInput, match="no slash"):
        options("v1", "")
    with pytest.raises(BadInput, match="more than an hour"):
        verify_and_report(options("/v1", "61m"), out=Console(), err=Console(), say=lambda _: None)
