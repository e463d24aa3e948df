"""What the tests of the model server share: the loop that it runs on in production, and a running server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from lab.model.server import ModelServer


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's own signature
    item: pytest.Item,  # noqa: ARG001 - same
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run on uvloop: what becomes of a connection's end is the event loop's business."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    """A model server on a free port."""
    async with ModelServer() as running:
        yield running
