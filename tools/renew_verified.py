"""Renews the table of the files that `lab verify` and `lab fix` are held to, in docs/verify.md.

    python tools/renew_verified.py                    # writes the table from the results that are there
    python tools/renew_verified.py --measure          # measures first, for some minutes, with a container engine
    python tools/renew_verified.py --measure haproxy  # one product only

Run it from the root of the project. The files are those of tests/verify/files; what each is expected to show stands in
the tests beside them, and a test holds the results to that.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.products import PRODUCTS
from lab.products.adapted import Change, Spot
from lab.verify.proofs import in_markdown
from lab.verify.search import Verified

ROOT = Path(__file__).parents[1]
FILES = ROOT / "tests" / "verify" / "files"
RESULTS = FILES / "verified.json"
PAGE = ROOT / "docs" / "verify.md"
START, END = "<!-- measured: files -->\n", "<!-- end -->"

ASKED: dict[str, tuple[str, ...]] = {
    "nginx": (
        *("ingress.conf", "openwebui.conf", "json-log.conf", "vllm-auth.conf", "modules.conf", "regexes.conf"),
        *("resolver.conf", "cors.conf", "plain-beside-tls.conf", "gateway.conf", "debian", "try-files.conf"),
        *("accel-header.conf", "tls-balanced.conf", "gzip-events.conf", "compose/conf.d/default.conf"),
        *("cache.conf", "litellm.conf", "error-pages.conf", "client-abort.conf", "small-body.conf"),
    ),
    "haproxy": tuple(
        f"haproxy/{name}.cfg"
        for name in (
            *("edge", "compose", "packaged", "server-timeout", "gpu-first", "rule-timeout", "retries", "goes-on"),
            *("wait-for-body",),
        )
    ),
    "envoy": tuple(
        f"envoy/{name}.yaml"
        for name in (
            *("sidecar", "edge-tls", "gateway", "worker", "idle", "retries", "per-try", "duration"),
            *("cluster-duration", "small-body", "lua-usage", "error-pages"),
        )
    ),
    "caddy": tuple(
        f"caddy/{name}"
        for name in (
            *("one-site.caddyfile", "shop", "behind-lb.caddyfile", "read-body.caddyfile", "header-timeout.caddyfile"),
            *("read-timeout.caddyfile", "write-timeout.caddyfile", "buffers.caddyfile", "retries.caddyfile"),
            *("snippets.caddyfile", "small-body.caddyfile", "error-pages.caddyfile"),
        )
    ),
    "apache": tuple(
        f"apache/{name}"
        for name in (
            *("site.conf", "rhel", "socket.conf", "debian", "rewrite.conf", "macro.conf", "two-tiers.conf"),
            *(
                "worker-timeout.conf",
                "members.conf",
                "error-pages.conf",
                "http10.conf",
                "old-clients.conf",
                "filter.conf",
            ),
        )
    ),
    "traefik": tuple(
        f"traefik/{name}"
        for name in (
            *("edge", "ollama", "swarm", "write-timeout", "header-timeout", "gpu-timeout.yml", "prompt-limit.yml"),
            *("error-pages", "retries.yml", "fast-proxy"),
        )
    ),
}
"""By product, what is verified at its newest version."""

PATHS = {"resolver.conf": "/llm/v1/chat/completions", "compose/conf.d/default.conf": "/api/v1/chat/completions"}
"""What is asked for where it is not the usual path; of files with several ways in, the one that is meant."""

USUAL = "/v1/chat/completions"
WITH_A_PATH = {"caddy/buffers.caddyfile": USUAL, **dict.fromkeys(ASKED["nginx"], USUAL), **PATHS}


@dataclass(frozen=True)
class VerifiedFile:
    """What was found of one file, through all its entrances.

    Args:
        product: with its version, as in `nginx-1.30`.
        file: below tests/verify/files.
        entrances: how many it has.
        unmet: the requirements that are not met.
        named: the lines that break them, each with its number; a default where none stands.
        fix: the lines with which all is met, and those that go.
        mended: whether they were seen to mend all that can be met.
        untold: what could not be told.
    """

    product: str
    file: str
    entrances: int
    unmet: list[str]
    named: list[str]
    fix: list[str]
    mended: bool
    untold: list[str]


def row(product: str, file: str, found: Sequence[Verified]) -> VerifiedFile:
    """One file's."""
    causes = [cause for each in found for some in each.causes.values() for cause in some[:1]]
    named = [_place(cause.spot, FILES / file) if cause.spot else "a default" for cause in causes]
    broken = [each for each in found if each.failed]
    mended = [each for each in broken if each.whole]
    return VerifiedFile(
        product,
        file,
        len(found),
        list(dict.fromkeys(one.requirement.value for each in found for one in each.failed)),
        list(dict.fromkeys(named)),
        list(dict.fromkeys(_change(change) for each in mended for change in each.fix)),
        len(mended) == len(broken),
        [f"{one.requirement.value}: {one.words}" for each in found for one in each.untold],
    )


def _place(spot: Spot, asked: Path) -> str:
    """What stands there, with its line, and in which file where a folder was asked for."""
    file = f"{spot.file.relative_to(asked)}, " if asked.is_dir() else ""
    return f"{spot.text} ({file}line {spot.line})"


def _change(change: Change) -> str:
    return f"without {change.text}" if isinstance(change, Spot) else change


async def measure(products: Sequence[str]) -> list[VerifiedFile]:
    """Verify and mend the files of some products."""
    # Only here: the table is written without an engine.
    from tests.verify.running import verified

    rows = []
    for name in products:
        product = PRODUCTS[name]
        asked = [(FILES / file, WITH_A_PATH.get(file, "")) for file in ASKED[name]]
        found = await verified(product, asked, mend=True)
        for file, _ in asked:
            own = [each for path, each in found if path == file]
            rows.append(row(f"{name}-{product.versions[-1].number}", str(file.relative_to(FILES)), own))
    return rows


def load() -> list[VerifiedFile]:
    """The results that are there."""
    return [VerifiedFile(**each) for each in json.loads(RESULTS.read_text("utf-8"))]


def table(rows: Sequence[VerifiedFile]) -> str:
    """A row a file, and what they are together. Pure."""
    head = ["file", "product", "not met", "named", "with", "then"]
    cells = [
        [
            f"[{each.file}](../tests/verify/files/{each.file})",
            each.product,
            ", ".join(each.unmet) or "nothing",
            ", ".join(f"`{one}`" for one in each.named),
            ", ".join(f"`{one}`" for one in each.fix),
            "" if not each.unmet else "all is met" if each.mended else "no fix",
        ]
        for each in rows
    ]
    fine = [each for each in rows if not each.unmet]
    mended = [each for each in rows if each.unmet and each.mended]
    said = (
        f"{len(rows)} files: {len(fine)} that are fine, and of which nothing was said; {len(rows) - len(fine)} that "
        f"are not, of which {len(mended)} were mended.\n\n"
    )
    return said + in_markdown(head, cells)


def page(text: str, rows: Sequence[VerifiedFile]) -> str:
    """The page with its table as the results have it. Pure."""
    before, _, rest = text.partition(START)
    return f"{before}{START}{table(rows)}{END}{rest.partition(END)[2]}"


def renew(arguments: Sequence[str]) -> None:
    """Measure what is asked for, and write the table."""
    if arguments[:1] == ["--measure"]:
        products = arguments[1:] or list(ASKED)
        kept = {each.file: each for each in load()} if RESULTS.exists() else {}
        new = {each.file: each for each in asyncio.run(measure(products))}
        order = [file for files in ASKED.values() for file in files]
        rows = [found for file in order if (found := new.get(file) or kept.get(file)) is not None]
        RESULTS.write_text(json.dumps([asdict(each) for each in rows], indent=1) + "\n", "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), load()), "utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    renew(sys.argv[1:])
