"""Renews what is said of each line of a snippet and of a recommended configuration: results, tables, heads of snippets.

    python tools/renew_proofs.py            # writes tables and heads from the results that are there
    python tools/renew_proofs.py --measure  # measures first, for some minutes, with a container engine

Run it from the root of the project, on a machine that does nothing else. Read what it has changed (`git diff`), run the
tests, and commit it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

from lab.cli import main
from lab.products import PRODUCTS, Product
from lab.saved import load_saved
from lab.verify.proofs import NO_START, NOT_THROUGH, NOTHING, in_markdown, summary, table, together, words_of
from lab.verify.prove import FORMAT, FileProof, LineEffect, LineProof

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "nginx"
README = FOLDER / "README.md"
SNIPPETS, FOLKLORE = FOLDER / "proof" / "snippets.json", FOLDER / "proof" / "folklore.json"

_CASES = ROOT / "scenarios" / "recommended" / "nginx"

INCLUDING = (*sorted(_CASES.glob("fixed-*.conf")), *sorted((FOLDER / "proof").glob("*.conf")))
"""The configurations whose lines are left out; each snippet is included by at least one."""

PLAIN = (PRODUCTS["nginx"].default, PRODUCTS["nginx"].recommended, _CASES / "fixed-whole-server.conf")
"""The configurations that a line is added to."""

OTHERS = tuple(
    each
    for each in PRODUCTS.values()
    if each.snippets is None and (ROOT / "scenarios" / "recommended" / each.name).is_dir()
)
"""Products whose recommended configuration includes no snippet; the result of its lines stands beside it."""

STORY = ROOT / "scenarios" / "recommended" / "README.md"

LONG = ("--longest", "20s", "--first-token", "20s", "--gap", "20s")
"""Longer than the shortest timeout that holds where a configuration says nothing: Envoy's 15 s."""

ADDED = (
    "proxy_buffering off;",
    "proxy_http_version 1.1;",
    "chunked_transfer_encoding off;",
    "proxy_cache off;",
    "proxy_request_buffering off;",
    "tcp_nodelay on;",
    "tcp_nopush off;",
    "sendfile off;",
    "gzip off;",
    "add_header X-Accel-Buffering no;",
    "proxy_set_header X-Accel-Buffering no;",
    'proxy_set_header Connection "";',
    "proxy_max_temp_file_size 0;",
    "proxy_ignore_client_abort on;",
    "proxy_next_upstream error timeout non_idempotent;",
    "proxy_read_timeout 2s;",
    "proxy_send_timeout 2s;",
    "proxy_connect_timeout 2s;",
    "send_timeout 2s;",
    "keepalive_timeout 2s;",
)
"""What is advised for streams here and there; where it is a timeout, one that is shorter than the suite's waits."""

_PART = re.compile(r"(?s)(<!-- measured: (\S+) -->\n).*?(<!-- end -->)")
_WITHOUT = re.compile(r"(?m)^# Without it: .*\n(?:#  .*\n)*")


ADDING = [word for line in ADDED for word in ("--add", line)]


def measure() -> int:
    """Measure all results anew; returns the exit code of what failed first, 0 if nothing did."""
    commands = [
        ["nginx", *map(str, INCLUDING), "--save", str(SNIPPETS)],
        ["nginx", *map(str, PLAIN), *ADDING, "--save", str(FOLKLORE)],
        *([each.name, *LONG, "--save", str(result_of(each))] for each in OTHERS),
    ]
    return next((code for each in commands if (code := main(["prove", *each]))), 0)


def result_of(product: Product) -> Path:
    """Where the result of its recommended configuration stands."""
    return product.folder / "proof.json"


def lines_of(snippet: str, files: Sequence[FileProof]) -> Mapping[str, Mapping[str, LineEffect]]:
    """What leaving out each line of a snippet does in any configuration that includes it: by line and version."""
    found: dict[str, list[Mapping[str, LineEffect]]] = {}
    for proof in files:
        for line in proof.lines:
            if line.file == f"{FOLDER.name}/{snippet}":
                found.setdefault(line.line, []).append(line.effects)
    return {line: together(effects) for line, effects in found.items()}


def readme(text: str, snippets: Sequence[FileProof], folklore: Sequence[FileProof]) -> str:
    """The README with its tables as the results have them. Pure."""

    def part(found: re.Match[str]) -> str:
        table = _folklore(folklore) if found[2] == "folklore" else _snippet(found[2], snippets)
        return f"{found[1]}{table}{found[3]}"

    return _PART.sub(part, text)


def _snippet(name: str, files: Sequence[FileProof]) -> str:
    lines = lines_of(name, files)
    versions = list(files[0].unmet)
    rows = [[f"`{line}`", *(words_of(found[each]) for each in versions)] for line, found in lines.items()]
    return in_markdown(["left out", *(f"nginx {each}" for each in versions)], rows)


def _folklore(files: Sequence[FileProof]) -> str:
    columns = [(proof, version) for proof in files for version in proof.unmet]
    head = ["added", *(f"{Path(proof.file).stem.removeprefix('fixed-')}, {version}" for proof, version in columns)]
    rows = []
    for number, line in enumerate(files[0].lines):
        rows.append([f"`{line.line}`", *(words_of(proof.lines[number].effects[each]) for proof, each in columns)])
    return in_markdown(head, rows)


def headed(text: str, name: str, files: Sequence[FileProof]) -> str:
    """A snippet with what each line is for in its head, as the result has it. Pure.

    Raises:
        ValueError: it has not one such line for each directive.
    """
    words = (summary(found) for found in lines_of(name, files).values())
    if len(_WITHOUT.findall(text)) != len(lines_of(name, files)):
        raise ValueError(f"{name}: `# Without it: ` must stand once for each line that was left out")
    return _WITHOUT.sub(lambda _: f"{fill(f'Without it: {next(words)}.', 108, **_COMMENT)}\n", text)


_COMMENT = {"initial_indent": "# ", "subsequent_indent": "#    ", "break_on_hyphens": False}
"""A sentence that goes on in further lines of a comment."""


def story(text: str, proofs: Mapping[str, FileProof]) -> str:
    """The scenario's story with its tables as the results of the products have them. Pure."""
    return _PART.sub(lambda found: f"{found[1]}{_recommended(proofs[found[2]])}{found[3]}", text)


def _recommended(proof: FileProof) -> str:
    """The lines without which something fails, and the others in a sentence."""
    idle = [each for each in proof.lines if _only(each, NOTHING)]
    needed = [each for each in proof.lines if _only(each, NO_START, NOT_THROUGH)]
    rest = [each for each in proof.lines if each not in idle and each not in needed]
    text = table(proof, rest) + "\n" if rest else ""
    if needed:
        text += f"Lines without which it does not start, or nothing comes through: {len(needed)}. "
    return f"{text}Lines without which nothing fails: {', '.join(f'`{each.line}`' for each in idle)}.\n"


def _only(line: LineProof, *words: str) -> bool:
    return all(words_of(each) in words for each in line.effects.values())


def write() -> None:
    """Write tables and heads from the results."""
    others = {each.name: load_saved(result_of(each), FORMAT).files[0] for each in OTHERS}
    STORY.write_text(story(STORY.read_text("utf-8"), others), "utf-8")
    snippets, folklore = load_saved(SNIPPETS, FORMAT).files, load_saved(FOLKLORE, FORMAT).files
    for path in sorted(FOLDER.glob("*.conf")):
        path.write_text(headed(path.read_text("utf-8"), path.name, snippets), "utf-8")
    README.write_text(readme(README.read_text("utf-8"), snippets, folklore), "utf-8")


if __name__ == "__main__":
    code = measure() if sys.argv[1:] == ["--measure"] else 0
    if code == 0:
        write()
    sys.exit(code)
