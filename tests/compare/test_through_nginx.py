"""The whole command through a real nginx, before an endpoint that has nothing of the lab's: it runs on this machine."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio
from rich.console import Console

from lab.cli.compare import CompareOptions, compare_and_report, subject_of
from lab.compare.advice import Choice
from lab.compare.results import Comparison, load
from lab.errors import ExitCode
from lab.products import PROXIES
from lab.testbed._containers import own_address
from lab.testbed._owner import labels, new_run
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Cause

from .server import Endpoint, serving

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

TIMEOUT = 2.0
LONGER = Endpoint(pieces=65, first=0.2, interval=0.05)
"""3.4 s, and no silence in it of more than 0.2 s."""
SHORT = Endpoint(pieces=20, first=0.3, interval=0.05)
"""1.25 s in some 2 KiB, which fill no buffer of nginx's."""

CONFIG = """
events {}
http {
    server {
        listen ${PORT};
        location / {
            proxy_pass ADDRESS;
            MORE
        }
    }
}
"""


@pytest.fixture(scope="module")
def addresses(engine: docker.DockerClient) -> Iterator[tuple[str, str]]:
    """Where containers reach the two endpoints: this machine's own address in a network of this module's own."""
    run = new_run()
    network = engine.networks.create(f"token-stream-lab-{run}", labels=labels(run))
    try:
        own = own_address(network.attrs)
        assert own is not None, "the engine is on another machine, whose containers do not reach this one"
        with serving(LONGER, own) as longer, serving(SHORT, own) as short:
            yield longer, short
    finally:
        network.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(
    images_in_use: Mapping[str, ImageInUse], addresses: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Testbed]:
    """A path with a timeout on silence, and one that holds what is delimited by close."""
    folder = tmp_path_factory.mktemp("nginx")
    stands = {
        "timeout": ("nginx-1.30", addresses[0], f"proxy_http_version 1.1; proxy_read_timeout {TIMEOUT:g}s;"),
        "buffer": ("nginx-1.26", addresses[1], "proxy_buffering on;"),
    }
    posts = []
    for key, (proxy, address, more) in stands.items():
        path = folder / f"{key}.conf"
        path.write_text(CONFIG.replace("ADDRESS", address).replace("MORE", more))
        posts.append(Target(key, PROXIES[proxy], path))
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        yield testbed


async def compare(url: str, to: Path, **more: Any) -> tuple[int, Comparison]:
    """Run the command's work in a thread, since it has a loop of its own; gives exit code and results."""
    options = CompareOptions(url=f"{url}/v1/chat/completions", **more)
    subject = subject_of(options, {}, lambda _: None)
    quiet = Console(file=io.StringIO())
    code = await asyncio.to_thread(compare_and_report, subject, options.extent, options.need, to, out=quiet, err=quiet)
    return code, load(to / "compare.json")


@pytest.mark.grid
async def test_a_timeout_that_ends_batch_replies_is_found_and_streaming_recommended(
    testbed: Testbed, tmp_path: Path
) -> None:
    """Every batch reply is silent for 3.4 s and dies at 2 s; every stream of the same length survives.

    It holds even for a program that has no use for half an answer.
    """
    url = testbed.url("timeout")
    code, found = await compare(url, tmp_path, concurrency="4", runs=2, program=True, whole_only=True)
    assert code == ExitCode.AS_REQUIRED
    assert found.advice is not None
    assert found.advice.choice is Choice.STREAM
    (level,) = found.levels
    assert level.stream.losses == ()
    (loss,) = level.batch.losses
    assert (loss.to, loss.count) == (Cause.FIRST_BYTE_TIMEOUT, 8)
    assert loss.timeout == pytest.approx(TIMEOUT, abs=0.5)
    assert level.batch.held is not None
    assert level.batch.held.value == pytest.approx(TIMEOUT, abs=0.5)
    assert level.batch.rate is not None
    assert level.batch.rate.value == 0


async def test_a_path_that_holds_the_stream_makes_batch_the_advice(testbed: Testbed, tmp_path: Path) -> None:
    """Asking with HTTP/1.0, nginx takes the close for the end and hands on nothing before it."""
    code, found = await compare(testbed.url("buffer"), tmp_path, concurrency="1")
    assert code == ExitCode.AS_REQUIRED
    assert found.advice is not None
    assert found.advice.choice is Choice.BATCH
    assert "A stream gains nothing here" in found.advice.sentence
    (level,) = found.levels
    assert level.stream.losses == level.batch.losses == ()
