"""The grid of `test_sdk_grid` through real proxies, with both majors of the SDKs, held against the ledger.

A proxy may change what an ending looks like, and nginx in its defaults discards tokens, so no table says what comes
of each. What is right follows from the ledger: nothing is complete that was not written whole, what was written whole
is called partial only where the connection was then broken, and the reason is one that the fault can have
(`told_right`).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from resource import getpagesize
from typing import Any

import aiohttp
import httpx
import pytest
import pytest_asyncio
from pydantic import TypeAdapter

import lab
from lab.catalogue import load_scenario, shipped_scenarios
from lab.clients.environments import OLDER, prepare
from lab.consume import Answer, Complete, Consumer, Failed, Partial
from lab.evidence import Ledger
from lab.model.reply import write_head
from lab.model.schedule import make_schedule
from lab.plan import PLAN_HEADER, REQUEST_HEADER, Framing, plan_from_query
from lab.products import PROXIES
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Variant
from lab.wire import FORMATS
from lab.wire.format import Ask
from lab.wire.tokens import read_tokens

from .test_sdk_grid import IMPATIENT, TRUTHS
from .told_right import Cell, fault_found
from .ways import ASYNC, PATIENT, SYNC

pytestmark = [pytest.mark.engine, pytest.mark.grid, pytest.mark.asyncio(loop_scope="module")]

RUN_LIMIT = 240.0

DEFAULT = "nginx-1.26 default"
ROUTES = [DEFAULT, "nginx-1.26", "haproxy-3.2", "envoy-1.40"]
"""The first in its defaults, all others in the recommended configuration, which delivers what was sent."""

DIRECT = "direct"

WAYS = [*SYNC, *ASYNC]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(images_in_use: Mapping[str, ImageInUse]) -> Any:
    """The recommended configuration of every proxy, and nginx in its defaults."""
    recommended = load_scenario(shipped_scenarios() / "recommended")
    posts = [Target(s.proxy.id, s.proxy, s.config) for s in recommended.cases if s.label == Variant.FIXED]
    default = shipped_scenarios() / "death-becomes-clean-end" / "nginx" / "broken.conf"
    async with Testbed([*posts, Target(DEFAULT, PROXIES["nginx-1.26"], default)], Containers(images_in_use)) as testbed:
        yield testbed


def python_of(major: str) -> str:
    """The Python that has the SDKs of that age."""
    return sys.executable if major == "current" else str(prepare(OLDER) / "bin" / "python")


def asked(major: str, route: str, base: str) -> Iterator[dict[str, Any]]:
    """Every way and every plan, as the driver takes them."""
    for (number, plan), way in product(enumerate(TRUTHS), WAYS):
        yield {
            "base": base,
            "timeout": IMPATIENT if "freeze" in plan else PATIENT,
            "way": way,
            "model": f"lab?{full(plan)}",
            "name": f"{major}.{way}.{number}.{route}".replace(" ", "-"),
        }


def full(plan: str) -> str:
    """The plan of a row of the grid."""
    return plan if "tokens=" in plan else f"tokens=5&interval=1ms&{plan}"


async def drive(python: str, cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was told of each cell."""
    pipe, root = asyncio.subprocess.PIPE, str(Path(lab.__file__).parent.parent)
    driver = str(Path(__file__).with_name("ways.py"))
    process = await asyncio.create_subprocess_exec(python, driver, stdin=pipe, stdout=pipe, env={"PYTHONPATH": root})
    try:
        async with asyncio.timeout(RUN_LIMIT):
            output, _ = await process.communicate(json.dumps(cells).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize(
    ("major", "route"),
    [*product(["current"], ROUTES), *product(["older"], [DIRECT, *ROUTES[:2]])],
)
async def test_no_silent_loss(testbed: Testbed, major: str, route: str) -> None:
    """Of every way and ending: nothing partial is called complete, nothing complete partial without a right reason."""
    cells = list(asked(major, route, testbed.model_url if route == DIRECT else testbed.url(route)))
    lines = {line["name"]: line for line in await drive(python_of(major), cells)}
    assert len(lines) == len(cells) == len(WAYS) * len(TRUTHS)
    found: list[tuple[str, str, str]] = []
    kinds: Counter[str] = Counter()
    async with aiohttp.ClientSession(testbed.model_url) as session:
        for cell in cells:
            ledger = await ledger_of(session, cell["name"])
            seen = Cell(plan_from_query(cell["model"][4:]), route == DEFAULT, lines[cell["name"]], ledger)
            kinds[seen.told["kind"]] += 1
            if fault := fault_found(seen):
                found.append((cell["way"], cell["model"], fault))
    assert found == []
    assert set(kinds) == {"Complete", "Partial", "Refused", "Failed"}


@pytest.mark.parametrize("wire_format", ["openai-responses", "openai-chat"])
async def test_nginx_in_its_defaults_discards_the_page_with_the_marker(testbed: Testbed, wire_format: str) -> None:
    """A reset after the marker loses the page of nginx's buffer that was not yet full, and so the marker: partial.

    nginx 1.26 asks with HTTP/1.0 and hands on full pages only. Of ten tokens of Responses the first page has all ten,
    and the second one, with `response.completed`, is discarded when the reset comes; of Chat Completions there is but
    one page, and nothing comes. No client can know that the marker was sent, so partial and failed are right. The
    reset waits, so that nginx has read all before it; one that comes in the same read leaves the answer whole.
    """
    wire, plan = FORMATS[wire_format], plan_from_query("tokens=10&interval=1ms&fault=rst@end&fault_delay=2s")
    question = wire.ask("lab", stream=True, max_tokens=99)
    schedule = make_schedule(plan, wire, wire.read_ask(question.body))
    head = len(write_head(schedule, Framing.CLOSE, "discarded", keep_alive=False))
    whole = b"".join(schedule.payloads)
    pages = (head + len(whole)) // getpagesize()
    expected = whole[: pages * getpagesize() - head] if pages else b""
    headers = {**dict(question.headers), PLAN_HEADER: plan.to_query(), REQUEST_HEADER: "discarded"}
    came, delivered = await ask(testbed.url("nginx-1.26"), question, headers, wire_format)
    assert came == whole
    assert isinstance(delivered, Complete)
    assert delivered.dirty_close
    came, discarded = await ask(testbed.url(DEFAULT), question, headers, wire_format)
    assert came == expected
    assert isinstance(discarded, Partial if expected else Failed)
    assert discarded.reason == "cut"
    text = discarded.text if isinstance(discarded, Partial) else ""
    assert [stamp.number for stamp in read_tokens(text)] == sorted({s.number for s in read_tokens(expected.decode())})


async def ask(base: str, question: Ask, headers: Mapping[str, str], wire_format: str) -> tuple[bytes, Answer]:
    """The body as far as it came, and what it amounts to."""
    consumer, came = Consumer(wire_format), bytearray()
    error: Exception | None = None
    try:
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("POST", base + question.path, content=question.body, headers=headers) as reply,
        ):
            async for data in reply.aiter_bytes():
                came += data
                consumer.feed(data)
    except httpx.HTTPError as failure:
        error = failure
    return bytes(came), consumer.close(error)


async def ledger_of(session: aiohttp.ClientSession, name: str) -> Ledger:
    """The only attempt of that request."""
    async with session.get(f"/lab/ledger/{name}") as reply:
        assert reply.status == 200, name
        (ledger,) = TypeAdapter(list[Ledger]).validate_python(await reply.json())
    return ledger
