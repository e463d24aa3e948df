"""Three real hops in a row, of which one holds: the audit names that one, at every place and for every product."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pytest
import pytest_asyncio

from lab.audit.conclude.findings import Conclusions, Confidence, conclude
from lab.audit.programme import Wish, make_programme
from lab.audit.run import Run
from lab.endpoint.address import endpoints_of
from lab.endpoint.keys import Keys
from lab.products import PROXIES
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed

pytestmark = [pytest.mark.engine, pytest.mark.grid, pytest.mark.asyncio(loop_scope="module")]

MODEL = "lab?tokens=60&interval=40ms"
NAMES = ("outer", "middle", "inner")
"""The hops from the user to the model."""

NGINX, HAPROXY, ENVOY = "nginx-1.30", "haproxy-3.2", "envoy-1.40"
ORDERS = ((NGINX, HAPROXY, ENVOY), (HAPROXY, ENVOY, NGINX), (ENVOY, NGINX, HAPROXY))

# The engine's resolver, because the container that is asked may start later than the one that asks.
CONFIGS = {
    NGINX: """\
events {}
http {
    server {
        listen ${PORT};
        resolver 127.0.0.11;
        set $upstream http://${MODEL};
        location / {
            proxy_pass $upstream;
            HOLDING
        }
    }
}
""",
    HAPROXY: """\
resolvers engine
    nameserver own 127.0.0.11:53
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    HOLDING
frontend lab
    bind :${PORT}
    default_backend next
backend next
    server next ${MODEL} resolvers engine init-addr none
""",
    ENVOY: """\
static_resources:
  listeners:
  - name: lab
    address: {socket_address: {address: 0.0.0.0, port_value: ${PORT}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: lab
          http_protocol_options: {accept_http_10: true}
          http_filters:
HOLDING
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: next
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: next, timeout: 0s}
  clusters:
  - name: next
    type: STRICT_DNS
    dns_refresh_rate: 0.2s
    load_assignment:
      cluster_name: next
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {socket_address: {address: "${MODEL_HOST}", port_value: ${MODEL_PORT}}}
""",
}
# What makes each hold, and what makes it hand on at once. nginx fills its pages when it asks with HTTP/1.0, which Envoy
# takes only if told to; HAProxy's own default waits 200 ms for more; Envoy's script asks for the whole body.
HOLDING: Mapping[str, tuple[str, str]] = {
    NGINX: ("proxy_http_version 1.0;", "proxy_http_version 1.1; proxy_buffering off;"),
    HAPROXY: ("", "option http-no-delay"),
    ENVOY: (
        """\
          - name: envoy.filters.http.lua
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: "function envoy_on_response(handle) handle:body() end"
""",
        "",
    ),
}


@dataclass(frozen=True)
class Chain:
    """Three products from the user to the model, and the place of the one that holds; None where none does."""

    products: tuple[str, ...]
    holding: int | None

    @property
    def name(self) -> str:
        """What the test calls it."""
        return "-".join(self.products) + ("" if self.holding is None else f"-{NAMES[self.holding]}")


CHAINS = (*(Chain(*each) for each in product(ORDERS, range(3))), Chain(ORDERS[0], None))


def posts_of(chain: Chain, folder: Path) -> list[Target]:
    """The configurations of a chain, from the model outward, each before the one that asks it."""
    made: list[Target] = []
    for place in (2, 1, 0):
        release = chain.products[place]
        key = f"{chain.name}/{NAMES[place]}"
        file = folder / key / f"proxy{PROXIES[release].product.suffix}"
        file.parent.mkdir(parents=True)
        file.write_text(CONFIGS[release].replace("HOLDING", HOLDING[release][chain.holding != place]))
        made.append(Target(key, PROXIES[release], file, made[-1].key if made else None))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(
    images_in_use: Mapping[str, ImageInUse], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[str, Conclusions]]:
    """What the audit concludes of each chain."""
    folder = tmp_path_factory.mktemp("chains")
    posts = [post for chain in CHAINS for post in posts_of(chain, folder)]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        turns = asyncio.Semaphore(3)

        async def in_turn(chain: Chain) -> Conclusions:
            # What all do at once in one process makes each late for the others.
            async with turns:
                return await audited(testbed, chain)

        audits = await asyncio.gather(*(in_turn(chain) for chain in CHAINS))
    yield dict(zip((chain.name for chain in CHAINS), audits, strict=True))


async def audited(testbed: Testbed, chain: Chain) -> Conclusions:
    """One chain, with every hop named and the model's own address."""
    hops = [f"{name}={endpoint(testbed.url(f'{chain.name}/{name}'))}" for name in NAMES]
    path = endpoint(testbed.url(f"{chain.name}/outer"))
    endpoints = endpoints_of(path, hops=hops, direct=endpoint(testbed.model_url))
    programme = make_programme(endpoints, Wish(runs=2, at_once=1))
    plain = tuple(requests for requests in programme.rounds if not requests[0].setting.accept_encoding)
    run = Run(replace(programme, rounds=plain), Keys(), MODEL, 60.0, None, lambda _: None)
    await run.run()
    assert run.stop is None, run.stop
    return conclude(run.telling, longest=None)


def endpoint(base: str) -> str:
    """The whole address."""
    return f"{base}/v1/chat/completions"


def deliveries(conclusions: Conclusions) -> Sequence[str]:
    """What was said of each route, for a reader of a failure."""
    return [f"{each.route}: {each.delivery.delivery}, {each.delivery.reason}" for each in conclusions.groups]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.name)
async def test_the_hop_that_holds_is_the_one_that_is_named(found: Mapping[str, Conclusions], chain: Chain) -> None:
    """No hop but the culprit is ever named; where every route could be told, that one is."""
    conclusions = found[chain.name]
    expected = "" if chain.holding is None else NAMES[chain.holding]
    told = [each.delivery.confidence is not Confidence.CANNOT_TELL for each in conclusions.groups]
    assert conclusions.culprit in (expected, *([] if all(told) else [""])), deliveries(conclusions)


async def test_most_of_them_are_named(found: Mapping[str, Conclusions]) -> None:
    """Where a machine is so busy that streaming cannot be proven, none is blamed; that must stay the exception."""
    named = [chain for chain in CHAINS if chain.holding is not None and found[chain.name].culprit]
    assert 2 * len(named) > len(CHAINS), [deliveries(each) for each in found.values()]
