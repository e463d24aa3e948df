"""The whole command on a real path: nginx before the model server, as an audit from outside finds it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio
from rich.console import Console

from lab.audit.programme import Wish
from lab.audit.results import AuditResults, load
from lab.catalogue import load_scenario, shipped_scenarios
from lab.cli.audit import AuditOptions, audit_and_report
from lab.errors import ExitCode
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Delivery, Ending, Variant

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

PROXY = "nginx-1.26"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(images_in_use: Mapping[str, ImageInUse]) -> AsyncIterator[Testbed]:
    """Two sides of nginx: in its defaults, which asks with HTTP/1.0 and holds, and in the recommended configuration."""
    broken = load_scenario(shipped_scenarios() / "close-delimited-upstream").cases
    fixed = load_scenario(shipped_scenarios() / "recommended").cases
    chosen = [
        next(one for one in broken if one.proxy.id == PROXY and one.variant is Variant.BROKEN),
        next(one for one in fixed if one.proxy.id == PROXY and one.label == Variant.FIXED),
    ]
    posts = [Target(key, s.proxy, s.config) for key, s in zip(("broken", "fixed"), chosen, strict=True)]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        yield testbed


async def audit(
    url: str, plan: str, to: Path, direct: str | None = None, runs: int = 2
) -> tuple[int, str, AuditResults]:
    """Run the command in a thread, since it has a loop of its own; gives exit code, text and results."""
    out = io.StringIO()
    options = AuditOptions(
        url=f"{url}/v1/chat/completions", to=to, model=f"lab?{plan}", direct=direct, wish=Wish(runs=runs, at_once=2)
    )
    console = Console(file=out, width=200)
    code = await asyncio.to_thread(audit_and_report, options, {}, out=console, err=Console(file=io.StringIO()))
    return code, out.getvalue(), load(to / "audit.json")


async def test_a_path_that_holds_is_named_with_the_fix(testbed: Testbed, tmp_path: Path) -> None:
    """Held until its end; nginx is recognised, and its tested lines are the remedy.

    Fourteen events of some 250 bytes do not fill nginx's page of 4 KiB, so all come in one piece after 3.5 s, which
    no lateness of the probe can spread out again. Two runs would tell it; there are three, as one in which the probe
    was late itself does not count.
    """
    code, text, results = await audit(testbed.url("broken"), "tokens=14&interval=250ms", tmp_path, runs=3)
    assert results.conclusions is not None
    found = {group.delivery.delivery for group in results.conclusions.groups}
    assert found == {Delivery.BATCHED}, [group.delivery.reason for group in results.conclusions.groups]
    assert code == ExitCode.REQUIREMENT_FAILED
    assert text.startswith("The path fails. Delivery: ")
    assert "proxy_http_version 1.1" in text
    assert (tmp_path / "audit.html").exists()


async def test_a_termination_that_becomes_a_clean_end_is_seen_as_truncated(testbed: Testbed, tmp_path: Path) -> None:
    """The client cannot see the cut; the audit knows the format's marker and does."""
    code, _, results = await audit(testbed.url("broken"), "tokens=80&interval=5ms&fault=fin@40", tmp_path)
    assert code == ExitCode.REQUIREMENT_FAILED
    assert {sample.ending for sample in results.samples} == {Ending.SILENTLY_TRUNCATED}


@pytest.mark.grid
async def test_the_recommended_configuration_passes(testbed: Testbed, tmp_path: Path) -> None:
    """The snippet that is shipped is one that the audit from outside finds nothing wrong with."""
    plan = "tokens=80&interval=25ms"
    code, text, results = await audit(testbed.url("fixed"), plan, tmp_path, testbed.model_url)
    assert results.conclusions is not None
    assert code == ExitCode.AS_REQUIRED, text
    assert {sample.ending for sample in results.samples} == {Ending.COMPLETE}
