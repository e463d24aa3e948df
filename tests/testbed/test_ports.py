from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lab.errors import EnvironmentFault
from lab.testbed import _ports
from lab.testbed._plan import PORTS
from lab.testbed._ports import HOST, Ports, is_free


@pytest.fixture
def ports() -> Iterator[Ports]:
    """A supply, given back at the end."""
    made = Ports()
    yield made
    made.close()


def test_two_labs_never_draw_the_same(ports: Ports) -> None:
    """However many each takes, and in whatever order: neither has to have bound them yet."""
    other = Ports()
    try:
        taken = [each.take() for _ in range(600) for each in (ports, other)]
    finally:
        other.close()
    assert len(set(taken)) == len(taken)
    assert all(port in PORTS for port in taken)


def test_what_somebody_listens_on_is_left_out(ports: Ports) -> None:
    """On loopback or on all addresses."""
    first = ports.take()
    assert is_free(first)
    for address in (HOST, ""):
        with socket.create_server((address, first)):
            assert not is_free(first)
    assert is_free(first)


def test_what_is_given_back_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one block only, of which no other lab knows, the second lab gets it when the first has ended."""
    monkeypatch.setattr(_ports, "PORTS", range(31_000, 31_000 + _ports._BLOCK))
    first, second = Ports(), Ports()
    assert first.take()
    with pytest.raises(EnvironmentFault, match="No port between"):
        second.take()
    first.close()
    third = Ports()
    assert third.take()
    third.close()
