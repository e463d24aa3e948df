from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trustme
import uvloop

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end, on each of the two event loops."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of the tests' own."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts that authority and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.cert_pem.bytes().decode())
    return context


@pytest.fixture(scope="session")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    """A good certificate for this machine."""
    return authority.issue_cert("127.0.0.1", "localhost", "::1")


@pytest.fixture
def certified(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """A server's context with that certificate; speaks HTTP/2 and HTTP/1.1."""
    return server_context(leaf)


def server_context(leaf: trustme.LeafCert, *protocols: str) -> ssl.SSLContext:
    """A server's context with that certificate, which speaks those protocols, or else both."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    context.set_alpn_protocols(list(protocols) or ["h2", "http/1.1"])
    return context
