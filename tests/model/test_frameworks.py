"""Frameworks, unmodified, in the versions of `lab clients` and of `pins`: text, tools and structured output."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lab.clients.environments import LANGCHAIN, LITELLM, NPM, Environment, prepare
from lab.model.server import ModelServer

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"
OTHERS = Environment(
    "frameworks",
    ("pydantic-ai-slim[openai]==2.31.1", "instructor==1.17.0", "llama-index-llms-openai-like==0.8.1"),
    pins_folder=HERE / "pins",
)
"""Their lock is made with `uv pip compile`, with the words of `tools/renew_pins.py`."""

_PATIENCE = 240.0

pytestmark = pytest.mark.grid


async def run(server: ModelServer, folder: Path, *words: str, script: bytes = b"") -> None:
    """Run a driver to its end; what it had to complain about fails the test."""
    own = {
        "BASE": server.base_url,
        "OPENAI_API_KEY": "any",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, cwd=folder, env={**os.environ, **own}, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            said, _ = await process.communicate(script)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")[-3_000:]


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (LANGCHAIN, "langchain"),
        (LITELLM, "litellm"),
        (OTHERS, "pydantic_ai"),
        (OTHERS, "instructor"),
        (OTHERS, "llama_index"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_a_framework_finds_what_it_looks_for(server: ModelServer, environment: Environment, name: str) -> None:
    """Nothing of it knows that no vendor answers."""
    folder = await asyncio.to_thread(prepare, environment)
    await run(server, folder, str(folder / "bin" / "python"), str(DRIVERS / "frameworks.py"), server.base_url, name)


async def test_the_vercel_sdk_finds_what_it_looks_for(server: ModelServer) -> None:
    """The same in JavaScript; its packages are found from the folder that it runs in."""
    folder = await asyncio.to_thread(prepare, NPM)
    await run(server, folder, "node", "--input-type=module", script=(DRIVERS / "vercel.mjs").read_bytes())
