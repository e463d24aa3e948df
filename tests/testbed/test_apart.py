"""Configurations that listen elsewhere as well: each gets its own traffic, whatever the others listen on."""

from __future__ import annotations

import asyncio
import itertools
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio

from lab.errors import SetUpFault
from lab.plan import Plan
from lab.probe.observe import observe
from lab.products import PROXIES
from lab.testbed import _containers, _plan
from lab.testbed._owner import RUN_LABEL
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.wire import format_named

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

PORTS = range(20_000, 20_010)
"""As few as there are configurations, so that one which takes them all takes another's."""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend outer
    bind :${PORT}
    MORE
    default_backend model
backend model
    http-response set-header X-Who WHO
    server model ${MODEL}
"""
INNER = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend outer
    bind :${PORT}
    default_backend inner
backend inner
    server inner 127.0.0.1:9000
frontend inner
    bind 127.0.0.1:9000
    default_backend model
backend model
    http-response set-header X-Who WHO
    server model ${MODEL}
"""
"""Its outer server asks an inner one, at a port that the author has chosen."""

GLOBAL = """
global
    user nobody
    group nogroup
    chroot /var/lib/haproxy
"""
"""What distributions write into the file."""

NGINX = """
user www-data;
events {}
http {
    access_log /var/log/nginx/mine.log;
    proxy_cache_path /var/cache/nginx-WHO keys_zone=mine:1m;
    server { listen 8404; }
    server {
        listen ${PORT};
        location / {
            proxy_cache mine;
            add_header X-Who WHO;
            proxy_pass http://${MODEL};
        }
    }
}
"""
"""It has a page of statistics, logs into a file and caches."""

TEXTS = {
    ("haproxy-3.0", "first"): INNER,
    ("haproxy-3.0", "second"): INNER,
    ("haproxy-3.0", "bystander"): HAPROXY.replace("MORE", "") + GLOBAL,
    ("haproxy-3.0", "neighbour"): HAPROXY.replace("MORE", ""),
    ("haproxy-3.2", "thief"): HAPROXY.replace("MORE", f"bind :{PORTS[0]}-{PORTS[-1]}"),
    ("haproxy-3.2", "robbed"): HAPROXY.replace("MORE", ""),
    ("nginx-1.26", "with-page"): NGINX,
    ("nginx-1.26", "with-page-too"): NGINX,
    ("nginx-1.26", "with-many-sockets"): NGINX.replace("${PORT};", "${PORT} reuseport;").replace("8404", "8405"),
}
REFUSED = {("nginx-1.26", "writes-elsewhere"): NGINX.replace("/var/cache/nginx-WHO", "/srv/cache")}
TIMES = 12
"""Of two sockets that share a port the kernel takes one by chance: all to the right one is one in 4,096."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(
    images_in_use: Mapping[str, ImageInUse], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Testbed]:
    """All of them on one testbed."""
    folder = tmp_path_factory.mktemp("apart")
    targets = []
    for (proxy, name), text in {**TEXTS, **REFUSED}.items():
        file = folder / name / f"proxy{PROXIES[proxy].product.suffix}"
        file.parent.mkdir()
        file.write_text(text.replace("WHO", name))
        targets.append(Target(name, PROXIES[proxy], file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plan, "PORTS", PORTS)
        async with Testbed(targets, Containers(images_in_use)) as testbed:
            yield testbed


def answered_by(url: str) -> str:
    """Who let the request through."""
    with urllib.request.urlopen(f"{url}/lab/health", timeout=10) as reply:  # noqa: S310  # the address is ours
        return str(reply.headers["X-Who"])


@pytest.mark.parametrize("name", [name for _, name in TEXTS])
async def test_each_configuration_gets_its_own_traffic(testbed: Testbed, name: str) -> None:
    """Inner servers at one port, pages of statistics at one port, and one that listens on all: none gets another's."""
    url = testbed.url(name)
    who = {await asyncio.to_thread(answered_by, url) for _ in range(TIMES)}
    assert who == {name}


async def test_who_writes_where_it_cannot_is_told_where_it_can(testbed: Testbed) -> None:
    """Its own words name the folder; the remedy names those that there are."""
    with pytest.raises(SetUpFault, match=r"/srv/cache(.|\n)*can write to /tmp, .*/var/log/nginx"):
        testbed.url("writes-elsewhere")


async def test_the_ledger_tells_over_which_configuration_a_request_came(testbed: Testbed) -> None:
    """Each knows the model server by a port of its own."""
    for name in ("first", "robbed", "with-page"):
        plan = Plan(tokens=1)
        seen = await observe(testbed.url(name), testbed.model_url, format_named("openai-chat"), plan, stream=True)
        assert seen.ledger is not None
        assert testbed.told_only(seen.ledger.port) == name
    direct = await observe(testbed.model_url, testbed.model_url, format_named("openai-chat"), plan, stream=True)
    assert direct.ledger is not None
    assert testbed.told_only(direct.ledger.port) is None


async def test_who_listens_nowhere_else_shares(testbed: Testbed, engine: docker.DockerClient) -> None:
    """A container for each costs a third of a second; it is for those that need it."""
    names = {container.name.rpartition(f"{run_of(testbed)}-")[2] for container in containers_of(testbed, engine)}
    shared = {name for name in names if name in PROXIES}
    assert shared == {"haproxy-3.0", "haproxy-3.2", "nginx-1.26"}
    apart = names - shared - {"model"}
    # The container of one that was refused may not have ended yet.
    alone = {testbed.told_only(int(name.rpartition("-")[2])) for name in apart} - {name for _, name in REFUSED}
    assert alone == {"first", "second", "thief", "robbed", "with-page", "with-page-too", "with-many-sockets"}


async def test_containers_may_do_as_little_as_they_need(testbed: Testbed, engine: docker.DockerClient) -> None:
    """No capability beyond a handful, none to be won, a file system to read only, and bounds on all that grows."""
    for container in containers_of(testbed, engine):
        host = container.attrs["HostConfig"]
        assert host["CapDrop"] == ["ALL"]
        assert set(host["CapAdd"] or ()) <= {"CHOWN", "KILL", "SETGID", "SETUID", "SYS_CHROOT"}
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["ReadonlyRootfs"]
        assert not host["Privileged"]
        assert 0 < host["Memory"] == host["MemorySwap"]
        assert 0 < host["PidsLimit"] < 2_000
        assert host["LogConfig"]["Type"] == "json-file"
        assert host["LogConfig"]["Config"]["max-size"]
        # Else the engine's group has the share of one process, for all containers together.
        assert host["CgroupParent"] == ("/" if engine.info()["CgroupDriver"] == "cgroupfs" else "")
        assert not host["Binds"]
        assert {mount["Type"] for mount in container.attrs["Mounts"]} == {"volume"}
        written = container.exec_run(["touch", "/usr/here"])
        assert written.exit_code != 0
    (model,) = [each for each in containers_of(testbed, engine) if each.name.endswith("-model")]
    status = _containers.read(model, ["/proc/1/status"])
    assert "Uid:\t65532" in status
    assert "CapEff:\t0000000000000000" in status


def run_of(testbed: Testbed) -> str:
    """The name that its containers carry."""
    assert isinstance(testbed.runner, Containers)
    return testbed.runner.run


def containers_of(testbed: Testbed, engine: docker.DockerClient) -> list[Any]:
    """Those of one testbed."""
    filters: dict[str, Any] = {"label": f"{RUN_LABEL}={run_of(testbed)}"}
    return list(engine.containers.list(filters=filters))


@pytest.mark.parametrize("blind", [1, 1000], ids=["once", "always"])
async def test_tables_without_those_who_answer_are_not_believed(
    blind: int, images_in_use: Mapping[str, ImageInUse], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy kernel has shown no listener at all: two that share an inner port would then have shared a container."""
    read, reads = _containers.read, itertools.count()
    monkeypatch.setattr(_containers, "read", lambda *of: "" if next(reads) < blind else read(*of))
    targets = []
    for name in ("one", "other"):
        file = tmp_path / name / "proxy.cfg"
        file.parent.mkdir()
        file.write_text(INNER.replace("WHO", name))
        targets.append(Target(name, PROXIES["haproxy-3.0"], file))
    async with Testbed(targets, Containers(images_in_use)) as testbed:
        urls = [testbed.url(target.key) for target in targets]
        who = [{await asyncio.to_thread(answered_by, url) for _ in range(TIMES)} for url in urls]
        assert who == [{"one"}, {"other"}]
    assert next(reads) > 1
