"""OpenAI's older Completions: a prompt in the place of a conversation, and the text in the choice itself.

Still the first endpoint of vLLM, llama.cpp and other servers of one's own. But for the place of the text it is Chat
Completions, end and marker too; so one reader reads both.
"""

from __future__ import annotations

from typing import Any

from .directive import find_directive
from .format import Ask, Asked, Reply, compact, read_limit, read_request, read_stream
from .openai_chat import OpenAIChat, read_stream_options
from .openai_wanted import read_completions_wanted


class OpenAICompletions(OpenAIChat):
    """The wire format of `POST /v1/completions`."""

    name = "openai-completions"
    path = "/v1/completions"
    url_end = "/completions"
    document_name = "text_completion"
    # A streamed piece is called no chunk here.
    chunk_name = "text_completion"

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """See `WireFormat.ask`."""
        body = {"model": model, "prompt": prompt, "stream": stream, "max_tokens": max_tokens}
        return Ask(self.path, self.ask_headers(stream=stream), compact(body).encode())

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """See `WireFormat.read_ask`."""
        fields = read_request(body, "prompt", planned=planned)
        return Asked(
            model=fields["model"],
            stream=read_stream(fields, default=False),
            max_tokens=read_limit(fields, "max_tokens"),
            include_usage=read_stream_options(fields),
            directive=find_directive(fields),
            wanted=read_completions_wanted(fields),
        )

    def opening(self, reply: Reply) -> bytes:
        """Nothing: there are no roles."""
        return b""

    def piece_choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """See `OpenAIChat.piece_choice`."""
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}

    def whole_choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        """See `OpenAIChat.whole_choice`; a whole text has the shape of a piece."""
        return self.piece_choice(text, finish_reason)


FORMAT = OpenAICompletions()
