"""Every wire format, before the lab's own model server as if it were a foreign one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.compare.answers import Unit
from lab.compare.figures import figures
from lab.compare.theirs import TheirPath
from lab.compare.turns import Turn, make_all
from lab.endpoint.address import endpoint_of
from lab.endpoint.asking import RunTerms
from lab.endpoint.keys import Keys
from lab.endpoint.samples import PATH
from lab.model.server import ModelServer
from lab.wire import FORMATS


@pytest_asyncio.fixture(name="model")
async def _model() -> AsyncIterator[ModelServer]:
    """The lab's own model server."""
    async with ModelServer() as server:
        yield server


@pytest.mark.parametrize("name", sorted(FORMATS))
async def test_every_format_is_compared(model: ModelServer, name: str) -> None:
    """Both ways bring the whole answer, of the same length, and the plan in the model's name is obeyed."""
    said: list[str] = []
    path = TheirPath(
        endpoint_of(PATH, model.base_url + FORMATS[name].path, name),
        RunTerms(Keys(), 30.0, None, 50),
        "lab?tokens=6&interval=10ms",
        50,
        2,
        said.append,
    )
    turns: list[Turn] = []
    async with path.enter() as ask:
        await make_all(ask, (1,), 1, turns.append)
    (level,) = figures(turns)
    assert level.stream.losses == level.batch.losses == ()
    assert level.stream.length == level.batch.length
    assert level.stream.length is not None
    assert (level.unit, level.stream.length.value) == (Unit.TOKENS, 6)
    assert not any("refused" in note for note in path.notes)
