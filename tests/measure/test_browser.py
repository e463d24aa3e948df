"""A client that opens only so many connections to a host: who waits for one, and where nobody does."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from lab.evidence import HttpVersion
from lab.measure.browser import Browsers, agreed_version
from lab.measure.exchanges import Address
from lab.plan import make_plan
from lab.suite.exchange import Exchange

HELD = 0.1
"""Seconds for which each exchange has its connection."""


def tabs(count: int, connections: int | None = 2, family: str = "tab") -> list[Exchange]:
    """So many exchanges of one client."""
    plan = make_plan({"tokens": 1})
    return [
        Exchange(f"{family}-{number}", plan, family=family, connections=connections, http=HttpVersion.HTTP_2)
        for number in range(count)
    ]


async def queued(address: Address, exchanges: list[Exchange]) -> tuple[list[float], int]:
    """The seconds for which each had no connection, and the most that had one at once."""
    browsers, now, most = Browsers(address), 0, 0

    async def one(exchange: Exchange) -> float:
        nonlocal now, most
        async with browsers.connection(exchange) as waited:
            now += 1
            most = max(most, now)
            await asyncio.sleep(HELD)
            now -= 1
        return waited

    return await asyncio.gather(*map(one, exchanges)), most


PLAIN = Address("http://127.0.0.1:1", "http://127.0.0.1:1")


async def test_the_further_ones_wait_until_a_connection_is_free() -> None:
    """Without TLS there is no HTTP/2 to agree on."""
    waited, most = await queued(PLAIN, tabs(5))
    assert most == 2
    assert all(seconds < HELD / 2 for seconds in waited[:2])
    assert all(seconds >= HELD - 0.01 for seconds in waited[2:])
    assert waited[4] >= 2 * HELD - 0.01


async def test_two_clients_do_not_wait_for_each_other() -> None:
    """Each family is one."""
    _, most = await queued(PLAIN, [*tabs(2), *tabs(2, family="other")])
    assert most == 4


async def test_who_has_no_limit_does_not_wait() -> None:
    """As most clients are."""
    waited, most = await queued(PLAIN, tabs(5, connections=None))
    assert (waited, most) == ([0.0] * 5, 5)


@pytest.mark.parametrize(("offered", "most"), [(["h2", "http/1.1"], 5), (["http/1.1"], 2), ([], 2)])
async def test_where_http_2_is_agreed_on_nobody_waits(offered: list[str], most: int) -> None:
    """What the server offers in the handshake decides."""
    authority = trustme.CA()
    certified, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(certified)
    authority.configure_trust(trusting)
    if offered:
        certified.set_alpn_protocols(offered)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=certified)
    async with server:
        port = server.sockets[0].getsockname()[1]
        address = Address(f"https://127.0.0.1:{port}", "http://127.0.0.1:1", tls=trusting)
        _, at_once = await queued(address, tabs(5))
    assert at_once == most


async def test_where_nobody_answers_it_is_http_1_1() -> None:
    """What is wrong there, the exchanges tell."""
    nobody = Address("https://127.0.0.1:1", "http://127.0.0.1:1")
    assert await agreed_version(nobody, HttpVersion.HTTP_2) is HttpVersion.HTTP_1_1
