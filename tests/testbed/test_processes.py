"""The runner without containers, with the nginx and the HAProxy that this machine has."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from lab.errors import EnvironmentFault, SetUpFault, Unavailable
from lab.products import PRODUCTS, PROXIES
from lab.shipped import shipped
from lab.testbed import certificate, processes
from lab.testbed._owner import folders
from lab.testbed._ports import HOST, Ports
from lab.testbed.binaries import Binary, Had, not_here, on_path
from lab.testbed.processes import Processes
from lab.testbed.testbed import Target, Testbed

CONFIGS = Path(__file__).parent / "configs"

DAEMON = f"""#!{sys.executable}
import http.server, os, re, sys
port = int(re.search(r"127\\.0\\.0\\.1:(\\d+)", open(sys.argv[2]).read())[1])
server = http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler)
if os.fork():
    os._exit(0)
os.setsid()
server.serve_forever()
"""
"""It listens, puts itself into the background with a session of its own, and answers from there."""


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever a test does: no process and no folder of it is there afterwards."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    left = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    assert left == []
    assert [folder.path for folder in folders() if folder.owner.pid == psutil.Process().pid] == []


@pytest.fixture(scope="module")
def here() -> dict[str, Binary]:
    """The machine's own binaries by product; `tests/set_up.py` brings them."""
    found = {binary.proxy.product.name: binary for binary in on_path(PRODUCTS.values())}
    assert {"nginx", "haproxy"} <= set(found), "run tests/set_up.py"
    return found


def plain(binary: Binary, name: str = "plain") -> Target:
    """A target that forwards everything."""
    product = binary.proxy.product
    return Target(name, binary.proxy, CONFIGS / product.name / f"plain{product.suffix}")


def runner(binaries: Sequence[Binary], snippets: Path) -> Processes:
    """A runner with these binaries."""
    (snippets / "marked.conf").write_text("add_header X-Snippet seen;\n")
    return Processes({binary.proxy.id: binary for binary in binaries}, {}, snippets=snippets)


def ask(url: str, tls: ssl.SSLContext | None = None) -> tuple[int, str | None]:
    """Status and the snippet's header of a GET."""
    with urllib.request.urlopen(f"{url}/lab/health", timeout=10, context=tls) as reply:  # noqa: S310  # the address is ours
        return reply.status, reply.headers["X-Snippet"]


async def test_products_forward_and_a_refusal_is_told(here: dict[str, Binary], tmp_path: Path) -> None:
    """Good configurations answer, a refused one raises what its product said with the file's own path."""
    good = [plain(here[name], f"{name}-{number}") for name in ("nginx", "haproxy") for number in range(2)]
    bad = Target("bad", here["nginx"].proxy, CONFIGS / "nginx" / "refused.conf")
    async with Testbed([*good, bad], runner([here["nginx"], here["haproxy"]], tmp_path)) as testbed:
        for target in good:
            assert testbed.url(target.key).startswith(f"http://{HOST}:")
            status, snippet = await asyncio.to_thread(ask, testbed.url(target.key))
            assert (status, snippet) == (200, "seen" if target.key.startswith("nginx") else None)
        with pytest.raises(SetUpFault, match=r"no.such") as caught:
            testbed.url("bad")
        assert str(bad.config) in str(caught.value)
    assert any("GET /lab/health" in line for line in testbed.log("nginx-0")), testbed.log("nginx-0")


async def test_a_target_with_a_certificate_is_asked_over_tls(here: dict[str, Binary], tmp_path: Path) -> None:
    """HAProxy says nothing to a request in clear text; the key is for our own eyes."""
    binaries = [here["nginx"], here["haproxy"]]
    targets = []
    for binary in binaries:
        product = binary.proxy.product
        file = shipped("scenarios") / "recommended" / product.name / f"fixed-over-tls{product.suffix}"
        own = tmp_path / product.name / file.name
        own.parent.mkdir()
        own.write_text(file.read_text())
        # A file of that name beside it gives way.
        (own.parent / certificate.FILE).write_text("somebody else's")
        targets.append(Target(product.name, binary.proxy, own))
    made = Processes({binary.proxy.id: binary for binary in binaries}, {})
    async with Testbed(targets, made) as testbed:
        for target in targets:
            url = testbed.url(target.key)
            assert url.startswith(f"https://{HOST}:")
            assert (await asyncio.to_thread(ask, url, testbed.tls(target.key)))[0] == 200
        keys = [*made._folder.glob(f"*/{certificate.FILE}")]
        assert [stat.S_IMODE(key.stat().st_mode) for key in keys] == [0o600, 0o600]


async def test_a_certificate_of_its_own_is_spoken_to(here: dict[str, Binary], tmp_path: Path) -> None:
    """A page of its own is nginx's answer to clear text, and nothing HAProxy's; a handshake tells them both."""
    binaries = [here["nginx"], here["haproxy"]]
    pem = tmp_path / "own.pem"
    pem.write_bytes(certificate.certificate().pem)
    targets = []
    for binary in binaries:
        product = binary.proxy.product
        shown = shipped("scenarios") / "recommended" / product.name / f"fixed-over-tls{product.suffix}"
        own = tmp_path / product.name / shown.name
        own.parent.mkdir()
        own.write_text(shown.read_text().replace("${CERTIFICATE}", str(pem)))
        targets.append(Target(product.name, binary.proxy, own))
    async with Testbed(targets, Processes({binary.proxy.id: binary for binary in binaries}, {})) as testbed:
        for target in targets:
            url = testbed.url(target.key)
            assert url.startswith(f"https://{HOST}:")
            assert (await asyncio.to_thread(ask, url, testbed.tls(target.key)))[0] == 200


async def test_no_port_is_open_to_other_machines(here: dict[str, Binary], tmp_path: Path) -> None:
    """Every socket that is listened on is loopback's."""
    targets = [plain(here["nginx"], "nginx"), plain(here["haproxy"], "haproxy")]
    async with Testbed(targets, runner([here["nginx"], here["haproxy"]], tmp_path)):
        listening = {
            connection.laddr.ip
            for process in psutil.Process().children(recursive=True)
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    assert listening == {HOST}


async def test_what_cannot_be_had_costs_its_own_targets(here: dict[str, Binary], tmp_path: Path) -> None:
    """Its address raises the reason with the remedy; the others are up."""
    lacking = PROXIES["haproxy-3.2"]
    missing = Target("missing", lacking, CONFIGS / "haproxy" / "plain.cfg")
    (tmp_path / "marked.conf").touch()
    nginx = here["nginx"]
    made = Processes({nginx.proxy.id: nginx}, {lacking.id: not_here(lacking)}, snippets=tmp_path)
    async with Testbed([plain(nginx), missing], made) as testbed:
        assert await asyncio.to_thread(ask, testbed.url("plain"))
        with pytest.raises(Unavailable, match=r"HAProxy 3\.2"):
            testbed.url("missing")


PAGE = """
events {}
http {
    server { listen 127.0.0.1:PAGE; }
    server { listen ${PORT}; location / { proxy_pass http://${MODEL}; } }
}
"""


async def test_who_wants_one_more_port_that_another_has_is_told_why(here: dict[str, Binary], tmp_path: Path) -> None:
    """Processes share the machine: of two with a page at one port, one is up, and the other's remedy says so."""
    ports = Ports()
    page = str(ports.take())
    targets = []
    for name in ("one", "other"):
        file = tmp_path / name / "nginx.conf"
        file.parent.mkdir()
        file.write_text(PAGE.replace("PAGE", page))
        targets.append(Target(name, here["nginx"].proxy, file))
    async with Testbed(targets, runner([here["nginx"]], tmp_path)) as testbed:
        faults = []
        for target in targets:
            try:
                assert (await asyncio.to_thread(ask, testbed.url(target.key)))[0] == 200
            except SetUpFault as fault:
                faults.append(fault)
    ports.close()
    (fault,) = faults
    assert page in fault.problem
    assert "share the ports of this machine" in fault.remedy


@pytest.mark.parametrize("lies", [0, 1])
async def test_a_port_that_was_taken_meanwhile_is_replaced(
    here: dict[str, Binary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lies: int
) -> None:
    """Whether the lab sees it before the start, or the product finds it: another port is chosen, and it is up."""
    with ExitStack() as occupied:
        take = occupy(occupied, monkeypatch, times=1, lies=lies)
        async with Testbed([plain(here["haproxy"])], runner([here["haproxy"]], tmp_path)) as testbed:
            assert not testbed.url("plain").endswith(f":{take[0]}")
            assert await asyncio.to_thread(ask, testbed.url("plain"))


async def test_ports_that_are_taken_again_and_again_are_told(
    here: dict[str, Binary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choosing is bounded; the message has thing, place and remedy."""
    with ExitStack() as occupied:
        occupy(occupied, monkeypatch, times=10, lies=0, doors_too=False)
        async with Testbed([plain(here["haproxy"])], runner([here["haproxy"]], tmp_path)) as testbed:
            with pytest.raises(SetUpFault, match=r"haproxy-.*plain\.cfg.*taken") as caught:
                testbed.url("plain")
            assert "ss -ltnp" in caught.value.remedy


async def test_a_port_of_the_model_server_that_was_taken_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it cannot listen, and is started at another one."""
    with ExitStack() as occupied:
        take = occupy(occupied, monkeypatch, times=1, lies=0)
        async with Testbed([], Processes({}, {})) as testbed:
            assert not testbed.model_url.endswith(f":{take[0]}")
            assert await asyncio.to_thread(ask, testbed.model_url)


def occupy(
    held: ExitStack, monkeypatch: pytest.MonkeyPatch, *, times: int, lies: int, doors_too: bool = True
) -> list[int]:
    """Another program takes each port as soon as it was chosen, so many times; gives the ports.

    Args:
        held: keeps the ports.
        monkeypatch: of the test.
        times: how many.
        lies: how often the lab is told nevertheless that a port is free.
        doors_too: whether those of the model server are among them.
    """
    taken: list[int] = []
    honest, free, calls, told = Ports.take, processes.is_free, iter(range(1000)), iter(range(lies))

    def take(ports: Ports) -> int:
        port = honest(ports)
        # The second and the third are the model server's: its door, and its own.
        if len(taken) < times and (doors_too or next(calls) not in (1, 2)):
            taken.append(port)
            held.enter_context(socket.create_server((HOST, port)))
        return port

    monkeypatch.setattr(Ports, "take", take)
    monkeypatch.setattr(processes, "is_free", lambda port: next(told, None) is not None or free(port))
    return taken


async def test_who_puts_himself_into_the_background_is_told_and_ended(tmp_path: Path) -> None:
    """His first process ends while his port answers: one message says so, and nothing of him stays."""
    daemon = tmp_path / "nginx"
    daemon.write_text(DAEMON)
    daemon.chmod(0o755)
    binary = Binary(PROXIES["nginx-1.26"], daemon, "1.26.3", Had.NAMED)
    async with Testbed([plain(binary)], runner([binary], tmp_path)) as testbed:
        with pytest.raises(
            SetUpFault, match=r"nginx-1\.26 with .*plain\.conf puts itself into the background"
        ) as caught:
            testbed.url("plain")
        assert "daemon" in caught.value.remedy


async def test_a_binary_that_is_gone_is_told(here: dict[str, Binary], tmp_path: Path) -> None:
    """It was there when it was asked for its version."""
    binary = Binary(here["nginx"].proxy, tmp_path / "gone", "1.22.1", Had.NAMED)
    async with Testbed([plain(binary)], runner([binary], tmp_path)) as testbed:
        with pytest.raises(SetUpFault, match="gone: No such file"):
            testbed.url("plain")


async def test_a_model_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is no testbed; its last words are shown."""
    monkeypatch.setattr(processes, "HOST", "192.0.2.1")
    with pytest.raises(EnvironmentFault, match=r"model server ended at its start:\n +cannot listen on 192\.0\.2\.1"):
        await Testbed([], Processes({}, {})).__aenter__()


async def test_a_keeper_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be started without it, and nothing waits for it."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EnvironmentFault, match="keeps the lab's others has ended"):
        await Testbed([], Processes({}, {})).__aenter__()


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.4, 0.8])
async def test_a_start_that_is_cancelled_leaves_nothing(here: dict[str, Binary], tmp_path: Path, moment: float) -> None:
    """Ctrl-C at any moment of the start ends what has been started."""

    async def stay_up() -> None:
        targets = [plain(here["nginx"]), plain(here["haproxy"], "too")]
        async with Testbed(targets, runner(list(here.values()), tmp_path)):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stay_up(), moment)
