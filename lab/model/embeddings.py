"""Embeddings, as OpenAI and Ollama answer with them: vectors of length one that belong to their texts. Pure.

The same text gets the same vector, another text another one; what texts mean plays no part. No plan changes them.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from lab.wire.format import read_request

MOST_TEXTS = 2_048
MOST_NUMBERS = 1_000_000

_DIMENSIONS = 64
_FORMATS = ("float", "base64")


def embed(body: bytes, *, ollama: bool) -> dict[str, Any]:
    """The document for a request's body.

    Args:
        body: the body.
        ollama: whether Ollama is asked, or OpenAI.

    Raises:
        ValueError: it makes no sense; names the field.
    """
    fields = read_request(body, "input")
    texts, length = _read_texts(fields["input"]), _read_dimensions(fields.get("dimensions"))
    form = fields.get("encoding_format", "float")
    if form not in _FORMATS:
        raise ValueError(f"encoding_format: must be {' or '.join(_FORMATS)}")
    if len(texts) * length > MOST_NUMBERS:
        raise ValueError(f"dimensions: {len(texts)} texts of {length} numbers are more than {MOST_NUMBERS}")
    vectors = [_vector(text, length) for text in texts]
    if ollama:
        return {"model": fields["model"], "embeddings": vectors, "prompt_eval_count": len(texts)}
    written = [_base64(vector) if form == "base64" else vector for vector in vectors]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(written)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": fields["model"], "usage": usage}


def _read_texts(asked: object) -> list[str]:
    """The texts, of which numbers of tokens are one each."""
    items = asked if isinstance(asked, list) else [asked]
    if items and all(isinstance(item, int) for item in items):
        items = [items]
    if not items or len(items) > MOST_TEXTS or not all(isinstance(item, (str, list)) for item in items):
        raise ValueError(f"input: must be a text, or a list of {MOST_TEXTS} at most")
    return [str(item) for item in items]


def _read_dimensions(asked: object) -> int:
    if asked is None:
        return _DIMENSIONS
    if not isinstance(asked, int) or isinstance(asked, bool) or not 1 <= asked <= MOST_NUMBERS:
        raise ValueError("dimensions: must be a whole number from 1")
    return asked


def _vector(text: str, length: int) -> list[float]:
    # Two bytes a number, from as many bytes as are needed.
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * length)
    numbers = [value / 2**15 for (value,) in struct.iter_unpack("<h", raw)]
    norm = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return [number / norm for number in numbers]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
