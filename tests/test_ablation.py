"""What `nginx/` says of each line is what was measured, and is measured again."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import crossplane
import pytest

from lab.cli import main
from lab.errors import ExitCode
from lab.saved import load_saved
from lab.shipped import shipped
from lab.verify.prove import FORMAT, FileProof, LineEffect
from lab.vocabulary import Requirement

ROOT = Path(__file__).parents[1]
DELIVERS, HEADERS, CUT, SENT = (
    Requirement.DELIVERS_TOKENS_AS_THEY_COME,
    Requirement.SENDS_HEADERS_AT_ONCE,
    Requirement.SHOWS_A_CUT_AS_A_CUT,
    Requirement.DELIVERS_WHAT_WAS_SENT,
)
WAITS = {Requirement.WAITS_FOR_THE_FIRST_TOKEN, Requirement.SURVIVES_SILENCE, Requirement.WAITS_FOR_BATCH_REPLIES}


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("renew_proofs", ROOT / "tools" / "renew_proofs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL: Any = _tool()
SNIPPETS = load_saved(TOOL.SNIPPETS, FORMAT).files
FOLKLORE = load_saved(TOOL.FOLKLORE, FORMAT).files
OTHERS = {each.name: load_saved(TOOL.result_of(each), FORMAT).files[0] for each in TOOL.OTHERS}
FILES = sorted(shipped("nginx").glob("*.conf"))


def broken(effects: Mapping[str, LineEffect]) -> dict[str, set[Requirement]]:
    """What a line does, by version; nothing is mended, refused or left untold by it."""
    assert not any(each.mended or each.untold or each.refused for each in effects.values())
    return {version: set(each.broken) for version, each in effects.items()}


def test_each_line_of_the_streaming_snippet_breaks_what_its_comment_promises() -> None:
    """In a server with gzip and a short timeout; nginx 1.30 asks with HTTP/1.1 anyway, and gzip is a second guard."""
    (house,) = [each for each in SNIPPETS if each.file.endswith("fixed-over-house-defaults.conf")]
    found = {each.line: broken(each.effects) for each in house.lines if each.file == "nginx/streaming.conf"}
    both = ("1.26", "1.30")
    assert found == {
        "proxy_http_version 1.1;": {"1.26": {CUT}, "1.30": set()},
        "proxy_buffering off;": {each: {DELIVERS, HEADERS, SENT} for each in both},
        "proxy_ignore_headers X-Accel-Buffering;": {each: set() for each in both},
        "gzip off;": {each: set() for each in both},
        "proxy_read_timeout 600s;": dict.fromkeys(both, WAITS),
    }


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("fixed-asked-to-buffer.conf", "proxy_ignore_headers X-Accel-Buffering;"),
        ("fixed-two-tiers.conf", "add_header X-Accel-Buffering no;"),
    ],
)
def test_what_another_hop_is_told_counts_where_it_is_told(file: str, line: str) -> None:
    """A tier that buffers holds the headers back until the first token."""
    (proof,) = [each for each in SNIPPETS if each.file.endswith(file)]
    found = [broken(each.effects) for each in proof.lines if each.line == line]
    assert found == [{"1.26": {HEADERS}, "1.30": {HEADERS}}]


NONE: dict[str, set[Requirement]] = {"1.26": set(), "1.30": set()}


def each_version(*found: Requirement) -> dict[str, set[Requirement]]:
    """The same at both versions."""
    return {version: set(found) for version in NONE}


RULINGS = {
    # nginx 1.26 as installed hides every cut already.
    "chunked_transfer_encoding off;": [{"1.26": set(), "1.30": {CUT}}, each_version(CUT), each_version(CUT)],
    # It takes two replicas to ask the second.
    "proxy_next_upstream error timeout non_idempotent;": [NONE, NONE, each_version(Requirement.GENERATES_ONCE)],
    "proxy_read_timeout 2s;": [each_version(*WAITS)] * 3,
    "proxy_ignore_client_abort on;": [each_version(Requirement.STOPS_WHEN_THE_CLIENT_LEAVES)] * 3,
}
"""What a line breaks that is added to nginx as installed, to the recommended file, and to one with two replicas."""

HELPS = {"proxy_buffering off;", "proxy_http_version 1.1;"}


@pytest.mark.parametrize("line", [each for each in TOOL.ADDED if each not in HELPS])
def test_what_is_said_to_help_does_what_the_ruling_says(line: str) -> None:
    """Added by itself, it mends nothing; of most lines nothing is seen at all."""
    found = [broken(each.effects) for proof in FOLKLORE for each in proof.lines if each.line == line]
    assert found == RULINGS.get(line, [NONE] * 3)


@pytest.mark.parametrize("line", sorted(HELPS))
def test_what_helps_mends_and_breaks_nothing(line: str) -> None:
    """Nothing is left to mend in the recommended file."""
    (installed, *others) = [each.effects for proof in FOLKLORE for each in proof.lines if each.line == line]
    assert DELIVERS in installed["1.26"].mended or CUT in installed["1.26"].mended
    assert not any(each.broken for effects in (installed, *others) for each in effects.values())
    assert [broken(effects) for effects in others] == [NONE, NONE]


def test_the_lines_of_the_other_products_break_what_their_scenarios_show() -> None:
    """HAProxy's bursts and the model that goes on, and Envoy's 15 s; nothing else breaks a requirement."""
    found = {
        each.line: {requirement for effect in each.effects.values() for requirement in effect.broken}
        for proof in OTHERS.values()
        for each in proof.lines
    }
    assert {line: broken for line, broken in found.items() if broken} == {
        "option http-no-delay": {DELIVERS},
        "option abortonclose": {Requirement.STOPS_WHEN_THE_CLIENT_LEAVES},
        "timeout: 0s": WAITS | {Requirement.LETS_LONG_ANSWERS_FINISH},
    }


def test_every_line_of_every_snippet_was_left_out() -> None:
    """A line that is added to a snippet, or changed, has to be measured."""
    for path in FILES:
        assert list(TOOL.lines_of(path.name, SNIPPETS)) == [*_directives(path)], path.name


def _directives(path: Path) -> list[str]:
    """The lines of a snippet without its comments, as the lab reads them."""
    (config,) = crossplane.parse(str(path), single=True, strict=False, check_ctx=False)["config"]
    return [crossplane.build([each]) for each in config["parsed"]]


def test_tables_and_heads_are_those_of_the_results() -> None:
    """`python tools/renew_proofs.py` changes nothing."""
    text = TOOL.README.read_text("utf-8")
    assert TOOL.readme(text, SNIPPETS, FOLKLORE) == text
    for path in FILES:
        text = path.read_text("utf-8")
        assert TOOL.headed(text, path.name, SNIPPETS) == text
    text = TOOL.STORY.read_text("utf-8")
    assert TOOL.story(text, OTHERS) == text
    assert all(f"<!-- measured: {name} -->" in text for name in OTHERS)


def test_every_snippet_has_its_place_in_the_readme() -> None:
    """In the list of files, and with a table of its own."""
    text = TOOL.README.read_text("utf-8")
    for path in FILES:
        assert f"| [{path.name}]({path.name}) |" in text
        assert f"<!-- measured: {path.name} -->" in text


def test_what_was_asked_of_the_files_is_what_the_tool_asks() -> None:
    """No configuration and no line is left out of the results."""
    assert [each.file for each in SNIPPETS] == [str(path.relative_to(ROOT)) for path in TOOL.INCLUDING]
    assert [each.file for each in FOLKLORE] == [str(path.relative_to(ROOT)) for path in TOOL.PLAIN]
    assert all(tuple(each.line for each in proof.lines) == TOOL.ADDED for proof in FOLKLORE)
    recommended = {each.name: str(each.recommended.relative_to(ROOT)) for each in TOOL.OTHERS}
    assert {name: proof.file for name, proof in OTHERS.items()} == recommended


MEASURED_AGAIN = [
    each
    for each in (*SNIPPETS, *FOLKLORE, *OTHERS.values())
    if Path(each.file).name in ("fixed-whole-server.conf", "recommended.cfg")
]
"""The rest is for the tool. In nginx 1.26 as installed, and over TLS without `proxy_buffering off`, it is a matter of
milliseconds whether a heartbeat that is held counts as one that comes late, or as one that nobody can tell of."""

Cell = tuple[str, str, str]
"""A file, one of its lines, and a version."""


def found(proof: FileProof) -> dict[Cell, tuple[set[str], set[str], bool]]:
    """What breaks and what is mended in each cell, without the evidence, in which times differ."""
    return {
        (each.file, each.line, version): (set(effect.broken), set(effect.mended), effect.refused)
        for each in proof.lines
        for version, effect in each.effects.items()
    }


def told(proof: FileProof) -> dict[Cell, set[str]]:
    """What could be told in each cell: on a busy machine it may be less."""
    return {
        (each.file, each.line, version): set(Requirement) - set(effect.untold)
        for each in proof.lines
        for version, effect in each.effects.items()
    }


@pytest.mark.engine
@pytest.mark.grid
@pytest.mark.usefixtures("own_signals", "images_in_use")
@pytest.mark.parametrize("committed", MEASURED_AGAIN, ids=lambda each: f"{Path(each.file).name} {each.added}")
def test_measured_again_the_results_are_the_same(
    committed: FileProof, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each line, in each configuration, at each version."""
    monkeypatch.chdir(ROOT)
    options = [*(TOOL.ADDING if committed.added else []), *(TOOL.LONG if committed.product in OTHERS else [])]
    saved = tmp_path / "proof.json"
    assert main(["prove", committed.product, committed.file, *options, "--save", str(saved)]) == ExitCode.AS_REQUIRED
    (again,) = load_saved(saved, FORMAT).files
    assert {version: set(unmet) for version, unmet in again.unmet.items()} == {
        version: set(unmet) for version, unmet in committed.unmet.items()
    }
    before, now, seen = found(committed), found(again), told(again)
    assert now == {
        cell: (broken & seen[cell], mended & seen[cell], refused) for cell, (broken, mended, refused) in before.items()
    }


@pytest.mark.usefixtures("own_signals")
def test_a_saved_proof_becomes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`lab report` makes it of the result alone."""
    assert main(["report", str(TOOL.FOLKLORE), "--out", str(tmp_path)]) == ExitCode.AS_REQUIRED
    assert "| `tcp_nodelay on;` | nothing | nothing |" in (tmp_path / "proof.md").read_text()
    assert "with chunked_transfer_encoding off;" in capsys.readouterr().out
