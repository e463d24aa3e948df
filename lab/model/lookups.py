"""What is looked up at a model server beside answers: whether it is well, and which models it has.

Load balancers, gateways and clients ask for it before anything else, and never send a request to a server without it.
Here stands what OpenAI, Anthropic, Ollama, vLLM, SGLang, llama.cpp and Text Generation Inference answer, as far as
anybody looks at it; each under any prefix. Every name of a model is one that the server has. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lab.wire.format import DEFAULT_MODEL

_HEALTH = frozenset(
    {
        "health",
        "healthz",
        "healthcheck",
        "health_check",
        "health-check",
        "health_generate",
        "heartbeat",
        "live",
        "livez",
        "liveness",
        "liveliness",
        "ready",
        "readyz",
        "readiness",
        "startup",
        "startupz",
        "ping",
        "up",
        "alive",
        "status",
    }
)
"""How the path of a health check ends."""

_OURS = "lab/"

# A fixed birthday: the same question gets the same bytes.
_CREATED, _CREATED_AT = 1_700_000_000, "2023-11-14T22:13:20Z"
_VERSION = "0.12.6"

_MODEL = re.compile(r"/models/(?P<name>.+)$")


def is_health(path: str) -> bool:
    """Whether a path is that of a health check; of the lab's own only `/lab/health`."""
    trimmed = path.strip("/").lower()
    if trimmed.startswith(_OURS):
        return trimmed == f"{_OURS}health"
    return trimmed.rpartition("/")[2] in _HEALTH


def look_up(path: str) -> dict[str, Any] | None:
    """The document at a path, for whoever reads it; None where there is none."""
    if is_health(path):
        return {"status": "ok"}
    trimmed = path.rstrip("/")
    if not trimmed:
        return {"status": "ok", "server": "token-stream-lab"}
    for end, make in _DOCUMENTS.items():
        if trimmed.endswith(end):
            return make()
    named = _MODEL.search(trimmed)
    return None if named is None else _entry(named["name"])


def show(name: str) -> dict[str, Any]:
    """What Ollama says of one model."""
    return {
        "modelfile": f"FROM {name}",
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": {"general.architecture": DEFAULT_MODEL, f"{DEFAULT_MODEL}.context_length": 131_072},
        "capabilities": ["completion", "tools", "thinking"],
        "modified_at": _CREATED_AT,
    }


def _entry(name: str) -> dict[str, Any]:
    """A model as OpenAI and Anthropic describe it, in one."""
    return {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "token-stream-lab",
        "type": "model",
        "display_name": name,
        "created_at": _CREATED_AT,
    }


def _models() -> dict[str, Any]:
    ends = {"has_more": False, "first_id": DEFAULT_MODEL, "last_id": DEFAULT_MODEL}
    return {"object": "list", "data": [_entry(DEFAULT_MODEL)], **ends}


def _tags() -> dict[str, Any]:
    name = f"{DEFAULT_MODEL}:latest"
    entry = {"name": name, "model": name, "modified_at": _CREATED_AT, "size": 1, "digest": "0" * 64}
    return {"models": [{**entry, "details": _details()}]}


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": DEFAULT_MODEL,
        "families": [DEFAULT_MODEL],
        "parameter_size": "1B",
        "quantization_level": "Q4_0",
    }


def _server() -> dict[str, Any]:
    """What routers of SGLang and vLLM, and clients of llama.cpp and Text Generation Inference read of a server."""
    return {
        "model_path": DEFAULT_MODEL,
        "served_model_name": DEFAULT_MODEL,
        "model_id": DEFAULT_MODEL,
        "is_generation": True,
        "tp_size": 1,
        "dp_size": 1,
        "total_slots": 1,
        "version": _VERSION,
    }


_DOCUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "/models": _models,
    "/api/tags": _tags,
    "/api/ps": _tags,
    "/version": lambda: {"version": _VERSION},
    "/model_info": _server,
    "/get_model_info": _server,
    "/server_info": _server,
    "/get_server_info": _server,
    "/props": _server,
    "/info": _server,
}
