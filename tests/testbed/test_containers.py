from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lab.errors import EnvironmentFault
from lab.testbed._containers import Reach, best_reach, own_address

LOOPBACK = {"Subnet": "127.0.0.0/8"}
"""A network in which every machine has an address."""
ELSEWHERE = {"Subnet": "240.0.0.0/24"}
"""One of the reserved numbers: no machine is in it."""


def network(*configs: Mapping[str, str]) -> Mapping[str, Any]:
    """What an engine tells of a network; a new one tells no gateway."""
    return {"IPAM": {"Config": list(configs)}}


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (network(LOOPBACK), "127.0.0.1"),
        (network(ELSEWHERE), None),
        (network({**LOOPBACK, "Gateway": "127.0.0.1"}), "127.0.0.1"),
        (network({**LOOPBACK, "Gateway": "127.0.0.9"}), None),
        (network(ELSEWHERE, LOOPBACK), "127.0.0.1"),
        (network({"Subnet": "?"}, {}), None),
        (network(), None),
        ({"IPAM": {"Config": None}}, None),
    ],
)
def test_the_own_address_in_a_network_needs_no_gateway(told: Mapping[str, Any], address: str | None) -> None:
    """The kernel knows it where the engine tells none; where it tells another one, the network is another machine's."""
    assert own_address(told) == address


class FakeEngine:
    """As much of a docker-py client as the question for the best way needs."""

    def __init__(self, told: Mapping[str, Any], base_url: str) -> None:
        self.attrs = told
        self.base_url = base_url
        self.api = self.networks = self

    def get(self, name: str) -> FakeEngine:
        """The network."""
        assert name == "mine"
        return self


LOCAL, REMOTE = "http+docker://localhost", "http://elsewhere:2375"


@pytest.mark.parametrize(
    ("told", "base_url", "reach"),
    [
        (network(LOOPBACK), LOCAL, Reach.DIRECT),
        (network(ELSEWHERE), LOCAL, Reach.PUBLISHED),
        (network(ELSEWHERE), "http://127.0.0.1:2375", Reach.PUBLISHED),
    ],
)
def test_the_best_way_is_the_direct_one_where_there_is_one(
    told: Mapping[str, Any], base_url: str, reach: Reach
) -> None:
    """A machine that stands in the containers' network itself needs no published port, on a new engine as well."""
    client: Any = FakeEngine(told, base_url)
    assert best_reach(client, "mine") is reach


def test_an_engine_on_another_machine_is_told() -> None:
    """Ports on another machine's loopback cannot be reached; the message has the engine's address."""
    client: Any = FakeEngine(network(ELSEWHERE), REMOTE)
    with pytest.raises(EnvironmentFault, match="elsewhere:2375"):
        best_reach(client, "mine")
