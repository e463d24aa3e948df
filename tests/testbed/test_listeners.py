from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products import PROXIES
from lab.testbed import _plan
from lab.testbed._listeners import Listener, listeners, on_loopback_only, to_stand_apart
from lab.testbed._plan import PORTS, Target, check, pods
from lab.testbed.config import Upstream

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
TCP = """\
   0: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 876518 1 0 100 0 0 10 0
   1: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000    99        0 876519 1 0 100 0 0 10 0
   2: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 888469 1 0 100 0 0 10 0
   3: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 888470 1 0 100 0 0 10 0
   4: 020014AC:1F41 010014AC:C001 01 00000000:00000000 00:00000000 00000000     0        0 888471 1 0 100 0 0 10 0
"""
TCP6 = """\
   0: 00000000000000000000000000000000:1F41 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 \
00000000     0        0 888472 1 0 100 0 0 10 0
"""
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01  5031 /tmp/inner.sock
0000000000000000: 00000002 00000000 00010000 0001 01  5032 /tmp/admin.sock.17.tmp
0000000000000000: 00000002 00000000 00010000 0005 01  5033 @inner
0000000000000000: 00000003 00000000 00000000 0001 03  5034 /tmp/connected.sock
0000000000000000: 00000003 00000000 00000000 0001 03  5035
"""


def test_what_listens_is_read_from_the_kernels_tables() -> None:
    """Sockets that take connections, with their number; connected ones and the engine's resolver are none of them."""
    assert listeners(HEAD + TCP + HEAD + TCP6 + UNIX) == {
        Listener("tcp", "8001"): 2,
        Listener("tcp", "9000"): 1,
        Listener("tcp6", "8001"): 1,
        Listener("unix", "/tmp/inner.sock"): 1,  # noqa: S108  # a name
        Listener("unix", "/tmp/admin.sock.17.tmp"): 1,  # noqa: S108  # same
        Listener("unix", "@inner"): 1,
    }


@pytest.mark.parametrize(
    ("addresses", "deaf"),
    [
        (["0100007F"], True),
        (["0100007F", "0100007F"], True),
        (["0500007F"], True),
        (["00000000000000000000000001000000"], True),
        (["0000000000000000FFFF00000100007F"], True),
        (["00000000"], False),
        (["0100007F", "00000000"], False),
        (["0100007F", "00000000000000000000000000000000"], False),
        (["020014AC"], False),
        (["0000000000000000FFFF0000020014AC"], False),
        ([], False),
    ],
)
def test_a_port_on_loopback_only_is_deaf(addresses: list[str], deaf: bool) -> None:
    """As the kernel of a container writes addresses: one that others can reach is enough, and so is none at all yet."""
    rest = "00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 888473 1 0 100 0 0 10 0"
    lines = [f"   {number}: {address}:1F41 {rest}\n" for number, address in enumerate(addresses)]
    elsewhere = [f"   7: 0100007F:1F42 {rest}\n", f"   8: 00000000:1F43 {rest}\n"]
    assert on_loopback_only("".join([HEAD, *lines, *elsewhere]), 8001) is deaf


TEXTS = {8001: "listen 9000;", 8002: "server 127.0.0.1:9000", 8003: "socket /tmp/admin.sock", 8004: "19000 9000s"}

CASES = {
    "nothing else": ({("tcp", "8001"): 1, ("tcp6", "8001"): 1, ("tcp", "8002"): 1}, set()),
    "two sockets at one port of the lab's": ({("tcp", "8001"): 1, ("tcp", "8002"): 2}, {8002}),
    "a port that some name": ({("tcp", "8001"): 1, ("tcp", "9000"): 1}, {8001, 8002}),
    "a port that nobody names": ({("tcp", "9001"): 1}, set(TEXTS)),
    "a socket file": ({("unix", "/tmp/admin.sock"): 1}, {8003}),  # noqa: S108  # a name
    "a socket file under its first name": ({("unix", "/tmp/admin.sock.17.tmp"): 1}, {8003}),  # noqa: S108  # same
    "a socket file named after a port of the lab's": ({("unix", "/tmp/inner-8001-0.sock"): 1}, set()),  # noqa: S108  # same
    "a socket file named after another port": ({("unix", "/tmp/inner-18001.sock"): 1}, set(TEXTS)),  # noqa: S108  # same
    "a socket without a name": ({("unix", ""): 1}, set(TEXTS)),
}


@pytest.mark.parametrize(("found", "apart"), CASES.values(), ids=CASES)
def test_who_listens_elsewhere_pods_apart(found: dict[tuple[str, str], int], apart: set[int]) -> None:
    """Whoever names it does, and all do where nobody names it; sharing is for those that listen nowhere else."""
    assert to_stand_apart({Listener(*instance): count for instance, count in found.items()}, TEXTS) == apart


def targets(*keys: str, behind: str | None = None) -> list[Target]:
    """Configurations that are not read."""
    return [Target(key, PROXIES["nginx-1.26"], Path(key), behind) for key in keys]


def test_every_instance_has_a_port_that_nobody_can_foresee() -> None:
    """No configuration can be written to listen on another's port; the numbers are drawn anew for each testbed."""
    keys = [str(number) for number in range(50)]
    first, second = (
        [instance.port for pod in pods(targets(*keys), "model") for instance in pod.instances] for _ in "12"
    )
    assert len(set(first)) == len(first) == 50
    assert first != second
    assert set(first + second) <= set(PORTS)


def test_each_post_asks_the_model_server_at_a_door_of_its_own_or_another_target() -> None:
    """The model server's port for it has its own number; who is behind another target asks that one."""
    (pod,) = pods([*targets("inner"), *targets("outer", behind="inner")], "model")
    inner, outer = pod.instances
    assert inner.upstream == Upstream("model", inner.port)
    assert (inner.model_ports, outer.model_ports) == ((inner.port,), ())
    assert outer.upstream == Upstream("nginx-1.26", inner.port)
    with pytest.raises(BadInput, match="'inner'"):
        check(targets("outer", behind="inner"))


def test_more_configurations_than_ports_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how many there may be."""
    monkeypatch.setattr(_plan, "PORTS", range(10_000, 10_001))
    with pytest.raises(BadInput, match="room for 1"):
        check(targets("a", "b"))


def test_who_balances_between_two_model_servers_has_two_doors(tmp_path: Path) -> None:
    """The number of the second is nobody else's, so that its ledger tells whose it is as well."""
    (file := tmp_path / "nginx.conf").write_text("${MODEL} ${MODEL_2}")
    (pod,) = pods([Target("two", PROXIES["nginx-1.26"], file), *targets("one", "other")], "model")
    two, one, other = pod.instances
    first, second = two.model_ports
    assert (first, second) == (two.port, two.upstream.second)
    assert len({first, second, one.port, other.port}) == 4
    assert (one.upstream.second, other.upstream.second) == (0, 0)
