"""Ollama generate: a prompt in the place of a conversation, and the text in a field of the line itself.

Everything else is as in `lab.wire.ollama_chat`, whose reader reads both.
"""

from __future__ import annotations

from typing import Any

from .ollama_chat import OllamaChat


class OllamaGenerate(OllamaChat):
    """The wire format of `POST /api/generate`."""

    name = "ollama-generate"
    path = "/api/generate"
    url_end = "/api/generate"

    def question(self, prompt: str) -> dict[str, Any]:
        """See `OllamaChat.question`."""
        return {"prompt": prompt}

    def said(self, text: str) -> dict[str, Any]:
        """See `OllamaChat.said`."""
        return {"response": text}


FORMAT = OllamaGenerate()
