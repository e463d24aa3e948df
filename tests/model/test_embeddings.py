"""Embeddings: a vector of length one for each text, in the vendors' shapes."""

from __future__ import annotations

import json
import math
from typing import Any

import openai
import pytest

from lab.model.server import ModelServer

from .raw import exchange


async def embedded(server: ModelServer, path: str, **fields: Any) -> tuple[int, Any]:
    """Status and document of one request."""
    body = json.dumps({"model": "lab", **fields})
    head = f"POST {path} HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n\r\n"
    seen = await exchange(server.base_url, f"{head}{body}".encode())
    return seen.status, json.loads(seen.body)


async def test_the_official_client_gets_a_vector_for_each_text(server: ModelServer) -> None:
    """In base64, as it asks by itself, and in numbers: the same ones; another text has another vector."""
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="any") as client:
        made = (await client.embeddings.create(model="lab", input=["one", "two", "one"], dimensions=16)).data
    _, document = await embedded(server, "/v1/embeddings", input="two", dimensions=16)
    assert [len(each.embedding) for each in made] == [16, 16, 16]
    assert made[0].embedding == made[2].embedding != made[1].embedding
    assert document["data"][0]["embedding"] == pytest.approx(made[1].embedding)
    assert math.hypot(*made[0].embedding) == pytest.approx(1)


async def test_ollama_is_answered_in_its_shape(server: ModelServer) -> None:
    """One list of vectors, under any prefix."""
    status, document = await embedded(server, "/llm/api/embed", input=["one", "two"])
    assert (status, len(document["embeddings"])) == (200, 2)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "input"),
        ({"input": [None]}, "input"),
        ({"input": ["x"] * 2_049}, "input"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": ["x"] * 2_000, "dimensions": 501}, "dimensions"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(server: ModelServer, fields: dict[str, Any], field: str) -> None:
    """And what would cost too much."""
    status, document = await embedded(server, "/v1/embeddings", **fields)
    assert status == 400
    assert document["error"]["message"].startswith(field)
