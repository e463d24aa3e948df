"""The timeout search against real proxies whose timeouts the test draws, with both cores kept busy.

What a proxy's timeout must show was measured and is documented: nginx's `proxy_read_timeout` and HAProxy's `timeout
server` watch the first byte and every silence; Envoy's route `timeout` the whole, its `idle_timeout` both silences.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.endpoint.address import endpoint_of
from lab.measure.findings import ActiveFindings, Found, Holds
from lab.measure.target import AuditTarget
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Requirement, State, Watched

from . import proxies
from .auditing import audit_actively

LONGEST = 9.0
SILENCES = (Watched.FIRST_BYTE, Watched.FIRST_TOKEN, Watched.IDLE, Watched.BATCH_REPLY)

Images = Mapping[str, ImageInUse]


async def audit(testbed: Testbed, key: str) -> ActiveFindings:
    """Audit one post, with the side channel beside the path."""
    endpoint = endpoint_of("path", f"{testbed.url(key)}/v1/chat/completions", None)
    return await audit_actively(AuditTarget(endpoint, model_url=testbed.model_url), longest=LONGEST)


def told(findings: ActiveFindings) -> dict[str, str]:
    """The timeouts in words, for a failed assertion."""
    return {each.watched.value: each.sentence for each in findings.timeouts}


def assert_timeout(findings: ActiveFindings, watched: Watched, value: float) -> None:
    """A timeout of that value was found, within the accuracy that is promised."""
    found = next(each for each in findings.timeouts if each.watched is watched)
    assert found.found is Found.TIMEOUT, told(findings)
    assert found.value is not None
    assert abs(found.value - value) <= max(0.5, 0.02 * value), (value, told(findings))


def assert_none(findings: ActiveFindings, watched: Watched) -> None:
    """No timeout was found, and none up to the longest answer is left possible."""
    found = next(each for each in findings.timeouts if each.watched is watched)
    assert found.found is Found.NONE, told(findings)
    assert found.proven >= LONGEST, told(findings)


def answer(findings: ActiveFindings, name: str) -> Holds:
    """The answer on one effect."""
    return next(each.answer for each in findings.effects if each.name == name)


@pytest.mark.engine
@pytest.mark.usefixtures("busy_cores")
async def test_each_proxys_timeouts_are_found(images_in_use: Images, tmp_path: Path, draw: random.Random) -> None:
    """nginx, HAProxy and Envoy with timeouts drawn from 1.5 s to 8 s: kind and value, and nothing that is not there."""
    read, server = draw.uniform(1.5, 8), draw.uniform(1.5, 8)
    idle, total = draw.uniform(1.5, 4), draw.uniform(5, 8)
    posts = [
        proxies.post(tmp_path, "nginx", "nginx-1.30", proxies.nginx(read)),
        proxies.post(tmp_path, "haproxy", "haproxy-3.0", proxies.haproxy(server)),
        proxies.post(tmp_path, "envoy", "envoy-1.40", proxies.envoy(total, idle)),
    ]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        by_nginx, by_haproxy, by_envoy = await asyncio.gather(*(audit(testbed, post.key) for post in posts))
    for findings, value in ((by_nginx, read), (by_haproxy, server), (by_envoy, idle)):
        for watched in SILENCES:
            assert_timeout(findings, watched, value)
        assert findings.smallest is not None
        assert abs(findings.smallest - value) <= 0.5
        assert answer(findings, "heartbeats-reset-the-idle-timeout") is Holds.YES
        assert answer(findings, "generates-once") is Holds.YES
    assert_none(by_nginx, Watched.TOTAL)
    assert_none(by_haproxy, Watched.TOTAL)
    assert_timeout(by_envoy, Watched.TOTAL, total)


@pytest.mark.engine
@pytest.mark.usefixtures("busy_cores")
async def test_a_total_timeout_alone_is_no_other(images_in_use: Images, tmp_path: Path, draw: random.Random) -> None:
    """Envoy's route timeout ends every stream at one age: the others are hidden behind it and never named."""
    total = draw.uniform(1.5, 8)
    buffered = draw.uniform(1.5, 8)
    posts = [
        proxies.post(tmp_path, "envoy", "envoy-1.40", proxies.envoy(total, 0)),
        proxies.post(tmp_path, "nginx", "nginx-1.26", proxies.nginx(buffered, buffering=True)),
    ]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        by_envoy, by_nginx = await asyncio.gather(*(audit(testbed, post.key) for post in posts))
    assert_timeout(by_envoy, Watched.TOTAL, total)
    for watched in SILENCES:
        found = next(each for each in by_envoy.timeouts if each.watched is watched)
        assert found.found is Found.HIDDEN, told(by_envoy)
        assert_timeout(by_nginx, watched, buffered)
    assert_none(by_nginx, Watched.TOTAL)


@pytest.mark.engine
@pytest.mark.parametrize("shortest", ["inner", "middle"])
@pytest.mark.usefixtures("busy_cores")
async def test_a_chain_of_three_proxies(
    images_in_use: Images, tmp_path: Path, draw: random.Random, shortest: str
) -> None:
    """Envoy before nginx before HAProxy, each with its own clock: the total one and the shorter silence are found.

    Where nginx has the shorter one, HAProxy tells the model nothing of it, and Envoy shows the cut a second late.
    """
    total, short, long = draw.uniform(6, 8), draw.uniform(1.5, 3), draw.uniform(3.5, 5)
    read, server = (long, short) if shortest == "inner" else (short, long)
    posts: list[Target] = [
        proxies.post(tmp_path, "inner", "haproxy-3.2", proxies.haproxy(server)),
        proxies.post(tmp_path, "middle", "nginx-1.30", proxies.nginx(read), "inner"),
        proxies.post(tmp_path, "outer", "envoy-1.40", proxies.envoy(total, 0), "middle"),
    ]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        findings = await audit(testbed, "outer")
    assert_timeout(findings, Watched.TOTAL, total)
    for watched in SILENCES:
        assert_timeout(findings, watched, min(read, server))
    assert findings.smallest is not None
    assert abs(findings.smallest - min(read, server)) <= 0.5


@pytest.mark.grid
@pytest.mark.engine
async def test_a_hop_that_asks_again_is_found_out(images_in_use: Images, tmp_path: Path, draw: random.Random) -> None:
    """HAProxy repeats a POST that its timeout ended: the audit says so, and the timeout's value is not doubled."""
    server = draw.uniform(1.5, 4)
    posts = [proxies.post(tmp_path, "haproxy", "haproxy-3.0", proxies.haproxy(server, retries=True))]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        findings = await audit(testbed, "haproxy")
    assert answer(findings, "generates-once") is Holds.NO
    for watched in SILENCES:
        assert_timeout(findings, watched, server)


@pytest.mark.engine
async def test_what_the_default_nginx_does_to_a_death(images_in_use: Images, tmp_path: Path) -> None:
    """In its defaults 1.26 asks with HTTP/1.0: it holds the stream, and makes a clean end of the model's FIN."""
    plain = proxies.NGINX.replace("            proxy_http_version 1.1;\n", "")
    text = plain.format(timeout=60_000, upstream=proxies.MODEL, buffering="on")
    posts = [proxies.post(tmp_path, "nginx", "nginx-1.26", text)]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        findings = await audit(testbed, "nginx")
    assert answer(findings, "fin-visible-stream") is Holds.NO
    state = {each.requirement: each.state for each in findings.observations}
    assert state[Requirement.SHOWS_A_CUT_AS_A_CUT] is State.NOT_MET
    assert state[Requirement.DELIVERS_TOKENS_AS_THEY_COME] is State.NOT_MET
    assert state[Requirement.LETS_LONG_ANSWERS_FINISH] is State.MET
