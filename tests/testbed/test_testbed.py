from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest
from hops import HOPS

from lab.errors import BadInput, EnvironmentFault, SetUpFault
from lab.products import PROXIES, Product, Proxy
from lab.shipped import shipped
from lab.testbed._owner import LABEL, RUN_LABEL
from lab.testbed.containers import Containers, Reach
from lab.testbed.images import ImageInUse
from lab.testbed.sweep import sweep
from lab.testbed.testbed import Target, Testbed

CONFIGS = Path(__file__).parent / "configs"

# Answers any GET at once, at every port; what a model server does with tokens is no matter here.
STUB = """
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
for port in [8000, *map(int, sys.argv[2].split(",") if sys.argv[1:] else [])]:
    threading.Thread(target=http.server.ThreadingHTTPServer(("", port), Handler).serve_forever).start()
"""
MODEL_STUB = ("python3", "-c", STUB)

Images = Mapping[str, ImageInUse]


def plain(proxy: Proxy, number: int = 0) -> Target:
    """A target that forwards everything: a file with more in it than the default has, where there is one."""
    file = CONFIGS / proxy.product.name / f"plain{proxy.product.suffix}"
    return Target(f"plain::{proxy.id}::{number}", proxy, file if file.exists() else proxy.product.default)


def refused(proxy: Proxy) -> Target:
    """A target whose configuration the proxy does not take."""
    return Target(f"refused::{proxy.id}", proxy, CONFIGS / proxy.product.name / f"refused{proxy.product.suffix}")


@pytest.fixture
def snippets(tmp_path: Path) -> Path:
    """A folder with one snippet, which marks a reply."""
    (tmp_path / "marked.conf").write_text("add_header X-Snippet seen;\n")
    return tmp_path


def bed_of(targets: Sequence[Target], images: Images, snippets: Path, **options: Any) -> Testbed:
    """A testbed with the stand-in for the model server."""
    return Testbed(targets, Containers(images, **{"model_command": MODEL_STUB, "snippets": snippets, **options}))


def run_of(testbed: Testbed) -> str:
    """The name that its containers carry."""
    assert isinstance(testbed.runner, Containers)
    return testbed.runner.run


def ask(url: str, tls: ssl.SSLContext | None = None) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers of a GET."""
    with urllib.request.urlopen(f"{url}/x", timeout=10, context=tls) as reply:  # noqa: S310  # the address is ours
        return reply.read(), dict(reply.headers)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the engine's log brings a moment later; fails after 10 s."""
    async with asyncio.timeout(10):
        # The testbed tells the end of a process, but not each line.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def has_line(log: Callable[[str], list[str]], key: str) -> bool:
    """Whether the request of `ask` is in the log."""
    return any("GET /x" in line for line in log(key))


def left_by(client: docker.DockerClient, run: str) -> list[str]:
    """The names of what a run has in the engine."""
    filters: dict[str, Any] = {"label": f"{RUN_LABEL}={run}"}
    containers = client.containers.list(all=True, filters=filters)
    networks = client.networks.list(filters=filters)
    volumes = client.volumes.list(filters=filters)
    return [str(each.name) for each in (*containers, *networks, *volumes)]


def test_two_posts_of_one_name_are_bad_input() -> None:
    """Keys are how results find their way back, so none may be there twice."""
    proxy = PROXIES["nginx-1.26"]
    with pytest.raises(BadInput, match="plain::nginx"):
        Testbed([plain(proxy), plain(proxy)], Containers({}))


@pytest.mark.engine
@pytest.mark.parametrize("reach", [None, Reach.PUBLISHED])
async def test_every_proxy_forwards_and_every_refusal_is_told(
    engine: docker.DockerClient, images_in_use: Images, snippets: Path, reach: Reach | None
) -> None:
    """Good configurations answer, refused ones raise what their proxy said, and nothing is left."""
    good = [plain(proxy, number) for proxy in PROXIES.values() for number in range(2)]
    bad = [target for target in map(refused, PROXIES.values()) if target.config.exists()]
    async with bed_of([*bad, *good], images_in_use, snippets, reach=reach) as testbed:
        for target in good:
            body, headers = await asyncio.to_thread(ask, testbed.url(target.key))
            assert body == b"ok"
            if target.proxy.product.name == "nginx":
                assert headers["X-Snippet"] == "seen"
                assert headers["X-Beside"] == "GET"
                await until(partial(has_line, testbed.log, target.key))
        for target in bad:
            with pytest.raises(SetUpFault, match=r"no.such") as caught:
                testbed.url(target.key)
            assert str(target.config) in str(caught.value)
        assert (await asyncio.to_thread(ask, testbed.model_url))[0] == b"ok"
        await until(lambda: any("/x" in line for line in testbed.log_of_model()))
        assert left_by(engine, run_of(testbed))
    assert left_by(engine, run_of(testbed)) == []


@pytest.mark.engine
async def test_a_target_with_a_certificate_is_asked_over_tls(images_in_use: Images) -> None:
    """Each product serves the testbed's certificate, which its own client trusts and nobody else does."""
    targets = [Target(f"tls::{proxy.id}", proxy, over_tls(proxy.product)) for proxy in HOPS.values()]
    async with bed_of(targets, images_in_use, shipped("nginx")) as testbed:
        for target in targets:
            url = testbed.url(target.key)
            assert url.startswith("https://")
            assert (await asyncio.to_thread(ask, url, testbed.tls(target.key)))[0] == b"ok"
            with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
                await asyncio.to_thread(ask, url)


def over_tls(product: Product) -> Path:
    """Its recommended configuration, over TLS."""
    return shipped("scenarios") / "recommended" / product.name / f"fixed-over-tls{product.suffix}"


@pytest.mark.engine
async def test_ports_are_published_on_loopback_only(
    engine: docker.DockerClient, images_in_use: Images, snippets: Path
) -> None:
    """No port of a run can be reached from another machine."""
    target = plain(PROXIES["haproxy-3.0"])
    async with bed_of([target], images_in_use, snippets, reach=Reach.PUBLISHED) as testbed:
        assert testbed.url(target.key).startswith("http://127.0.0.1:")
        for container in engine.containers.list(filters={"label": f"{RUN_LABEL}={run_of(testbed)}"}):
            bound = [each for ports in container.ports.values() for each in ports or []]
            assert {each["HostIp"] for each in bound} == {"127.0.0.1"}


@pytest.mark.engine
async def test_a_model_server_that_does_not_start_is_told(
    engine: docker.DockerClient, images_in_use: Images, snippets: Path
) -> None:
    """Without a model server there is no testbed: its last words are shown and nothing is left."""
    command = ("sh", "-c", "echo it is broken; exit 1")
    testbed = bed_of([plain(PROXIES["haproxy-3.0"])], images_in_use, snippets, model_command=command)
    with pytest.raises(EnvironmentFault, match="it is broken"):
        await testbed.__aenter__()
    assert left_by(engine, run_of(testbed)) == []


UNFORGIVING = """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend in
    bind :${PORT}
    default_backend model
backend model
    server model ${MODEL} check inter 1h observe layer4 error-limit 1 on-error mark-down
"""


@pytest.mark.engine
async def test_a_proxy_is_asked_when_its_model_server_is_there(
    images_in_use: Images, snippets: Path, tmp_path: Path
) -> None:
    """One that found nobody behind it would ask no more for an hour: 503 for every exchange."""
    file = tmp_path / "unforgiving.cfg"
    file.write_text(UNFORGIVING)
    target = Target("unforgiving", PROXIES["haproxy-3.0"], file)
    late = ("sh", "-c", 'sleep 2; exec "$0" "$@"', *MODEL_STUB)
    async with bed_of([target], images_in_use, snippets, model_command=late) as testbed:
        body, _ = await asyncio.to_thread(ask, testbed.url(target.key))
    assert body == b"ok"


@pytest.mark.engine
async def test_a_start_that_fails_half_way_leaves_nothing(
    engine: docker.DockerClient, images_in_use: Images, snippets: Path
) -> None:
    """When one container cannot be made, those that could are removed and the engine's words are shown."""
    gone = ImageInUse("nginx-1.26", "token-stream-lab/none:1", "", images_in_use["nginx-1.26"].how, "")
    targets = [plain(PROXIES["haproxy-3.0"]), plain(PROXIES["nginx-1.26"])]
    testbed = bed_of(targets, {**images_in_use, "nginx-1.26": gone}, snippets)
    with pytest.raises(EnvironmentFault, match=r"nginx-1\.26"):
        await testbed.__aenter__()
    assert left_by(engine, run_of(testbed)) == []


@pytest.mark.engine
@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3, 0.5])
async def test_a_start_that_is_cancelled_leaves_nothing(
    engine: docker.DockerClient, images_in_use: Images, snippets: Path, moment: float
) -> None:
    """Ctrl-C at any moment of the start removes what has been started."""
    testbed = bed_of([plain(proxy) for proxy in PROXIES.values()], images_in_use, snippets)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(moment):
            await testbed.__aenter__()
    assert left_by(engine, run_of(testbed)) == []


async def test_whoever_cancels_the_removal_has_to_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C pressed again and again while containers are removed ends nothing before they are gone."""
    begun, go_on, gone = threading.Event(), threading.Event(), threading.Event()

    def remove(runner: Containers) -> None:
        assert runner.run
        begun.set()
        assert go_on.wait(30)
        gone.set()

    monkeypatch.setattr(Containers, "_remove", remove)
    leaving = asyncio.ensure_future(Testbed([], Containers({})).__aexit__(None, None, None))
    await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        leaving.cancel()
        await asyncio.sleep(0)
        assert not leaving.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert gone.is_set()


RUN = """
import asyncio, json, signal, sys
from lab.testbed import images
from lab.testbed.containers import Containers
from lab.testbed.testbed import Testbed

# A script starts what it puts into the background deaf to Ctrl-C, tests too; `lab.cli.main` does the same.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    used = images.ensure(["model"], print)
    async with Testbed([], Containers(used, model_command=json.loads(sys.argv[1]))) as testbed:
        print(testbed.runner.run, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def start_run() -> tuple[subprocess.Popen[str], str]:
    """A run in a process of its own, up and waiting; with its name."""
    process = subprocess.Popen([sys.executable, "-c", RUN, json.dumps(MODEL_STUB)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
def test_a_killed_run_is_swept_and_a_live_one_is_not(engine: docker.DockerClient) -> None:
    """After kill -9 the next sweep removes what was left; until then it touches nothing."""
    process, run = start_run()
    with process:
        sweep(engine)
        assert len(left_by(engine, run)) == 3
        process.kill()
    sweep(engine)
    assert left_by(engine, run) == []


@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
def test_an_interrupted_run_leaves_nothing(engine: docker.DockerClient) -> None:
    """Ctrl-C ends a run, and its containers are gone before it is."""
    process, run = start_run()
    with process:
        assert len(left_by(engine, run)) == 3
        os.kill(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
    assert process.returncode not in (0, -signal.SIGKILL)
    assert left_by(engine, run) == []


def test_every_label_is_under_one_name() -> None:
    """The lab's labels share a prefix, so that users can find everything by one filter."""
    assert RUN_LABEL.startswith(LABEL)


@pytest.mark.parametrize(("value", "reach"), [("", None), ("published", Reach.PUBLISHED), ("direct", Reach.DIRECT)])
def test_the_user_may_choose_the_way(monkeypatch: pytest.MonkeyPatch, value: str, reach: Reach | None) -> None:
    """LAB_REACH decides how containers are reached, where nothing else does."""
    monkeypatch.setenv("LAB_REACH", value)
    assert Containers({}).reach is reach
    assert Containers({}, reach=Reach.DIRECT).reach is Reach.DIRECT


def test_an_unknown_way_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that does not exist is answered with those that do."""
    monkeypatch.setenv("LAB_REACH", "tunnel")
    with pytest.raises(BadInput, match="direct or published"):
        Containers({})
