"""The table of files in docs/verify.md is that of the results, and those are what is expected of each file."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lab.vocabulary import Requirement
from tests.verify import (
    test_apache_files,
    test_caddy_files,
    test_envoy_files,
    test_files,
    test_haproxy_files,
    test_traefik_files,
)

ROOT = Path(__file__).parents[2]


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("renew_verified", ROOT / "tools" / "renew_verified.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look themselves up there.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOL: Any = _tool()
ROWS = TOOL.load()

EXPECTED: dict[str, tuple[set[Requirement], set[str]]] = {
    **dict.fromkeys(test_files.FINE, (set(), set())),
    **{name: (set(found), set(found.values())) for (name, _), found in test_files.BROKEN.items()},
    **{f"haproxy/{name}.cfg": (set(), set()) for name in test_haproxy_files.FINE},
    **{
        f"haproxy/{name}.cfg": (set(found), {pairs[0][0] for pairs in found.values()})
        for name, found in test_haproxy_files.BROKEN.items()
    },
    **{
        f"haproxy/{name}.cfg": (found, {f"without {line}"})
        for name, (line, found) in test_haproxy_files.HAS_TO_GO.items()
    },
    **{f"envoy/{name}.yaml": (set(), set()) for name in test_envoy_files.FINE},
    **{
        f"envoy/{name}.yaml": (set(found), {pairs[0][0] for pairs in found.values()})
        for name, found in test_envoy_files.BROKEN.items()
    },
    **{f"caddy/{name}": (set(), set()) for name in test_caddy_files.FINE},
    **{
        f"caddy/{name}.caddyfile": (set(found), {setting for setting, _ in found.values()})
        for name, found in test_caddy_files.BROKEN.items()
    },
    "caddy/error-pages.caddyfile": ({Requirement.PASSES_ERRORS_ON}, {"without handle_response @down {"}),
    **{f"apache/{name}": (set(), set()) for name in test_apache_files.FINE},
    **{
        f"apache/{name}": (set(found), {setting for setting, _ in found.values()})
        for name, found in test_apache_files.BROKEN.items()
    },
    **{f"traefik/{name}": (set(), set()) for name in test_traefik_files.FINE},
    **{
        f"traefik/{name}": (set(found), {setting for setting, _ in found.values()})
        for name, found in test_traefik_files.BROKEN.items()
    },
}
"""By file: what is not met, and the lines that mend it."""


def test_the_page_has_the_results() -> None:
    """`python tools/renew_verified.py` changes nothing."""
    text = TOOL.PAGE.read_text("utf-8")
    assert TOOL.page(text, ROWS) == text


def test_every_file_has_its_row() -> None:
    """Thirty at least, and sixteen of nginx's; each once."""
    assert [each.file for each in ROWS] == [file for files in TOOL.ASKED.values() for file in files]
    count = Counter(each.product.partition("-")[0] for each in ROWS)
    assert len(ROWS) >= 30
    assert count["nginx"] >= 16
    assert set(count) == set(TOOL.ASKED)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_what_was_found_is_what_the_documentation_says(row: Any) -> None:
    """No alarm about a file that is fine, and the expected lines for each that is not."""
    unmet, fix = EXPECTED[row.file]
    assert not row.untold
    assert set(row.unmet) == unmet
    assert set(row.fix) == fix
    assert row.mended is (bool(fix) or not unmet)
