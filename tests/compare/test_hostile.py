"""An endpoint that means harm to a comparison: what is taken of it, and how that is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from probe.fault_server import CHUNKED, HEAD, FaultServer, Peer, chunk

from lab import cli
from lab.cli.compare import MAX_TOKENS
from lab.compare.results import load
from lab.compare.theirs import Stopped, TheirPath
from lab.compare.turns import make_all
from lab.endpoint.address import endpoint_of
from lab.endpoint.asking import RunTerms
from lab.endpoint.bounds import most_bytes, most_in_all, most_lines
from lab.endpoint.keys import Keys
from lab.endpoint.samples import PATH, Sample
from lab.errors import ExitCode
from lab.evidence import Evidence, Read, Trace, TransportEnd

pytestmark = pytest.mark.usefixtures("own_signals")

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"word"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
BATCH = {"choices": [{"index": 0, "message": {"content": "x" * 2**23}, "finish_reason": "stop"}]}
BOMB = gzip.compress(json.dumps(BATCH).encode())


def stream(peer: Peer) -> None:
    """A good stream."""
    peer.send(CHUNKED + chunk(TEXT) + b"0\r\n\r\n")


def flood(peer: Peer) -> None:
    """Heartbeats without end."""
    peer.send(CHUNKED)
    while not peer.over.is_set():
        peer.send(chunk(b":\n" * 5000))


def bomb(peer: Peer) -> None:
    """A document that is much larger than it looks."""
    peer.send(HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(BOMB)}\r\n\r\n".encode() + BOMB)


CASES = {
    "a stream of heartbeats": (flood, stream, f"more than {most_lines(MAX_TOKENS):,} lines of body"),
    "a batch reply that is a bomb": (stream, bomb, f"more than {most_bytes(MAX_TOKENS):,} bytes of decoded body"),
}


@pytest.mark.parametrize("name", CASES)
def test_too_much_ends_the_comparison_at_its_check(name: str, tmp_path: Path) -> None:
    """It is no timeout and no broken document: the comparison left, and says for what."""
    streamed, batch, words = CASES[name]

    def script(peer: Peer) -> None:
        (streamed if b'"stream":true' in peer.read_request().replace(b" ", b"") else batch)(peer)

    with FaultServer(script) as server:
        code = cli.main(["compare", f"{server.url}/v1/chat/completions", "--out", str(tmp_path)])
    saved = load(tmp_path / "compare.json")
    assert code == ExitCode.REQUIREMENT_FAILED
    assert f"{words} came for one answer" in saved.stopped
    assert saved.remedy


async def test_answers_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer may be as large as it may be, but not all of them."""
    big = b'{"choices":[{"message":{"content":"' + b"x" * most_bytes(50)
    made = 0

    async def answer(_endpoint: object, setting: object, _ask: object, _terms: object) -> Sample:
        nonlocal made
        made += 1
        trace = Trace(0.0, 1.0, TransportEnd.FRAMED, status=200, body=(Read(0.5, big),))
        return Sample(setting, Evidence("openai-chat", False, trace))  # type: ignore[arg-type]

    monkeypatch.setattr("lab.compare.theirs.ask_endpoint", answer)
    endpoint = endpoint_of(PATH, "http://127.0.0.1:1/v1/chat/completions", None)
    path = TheirPath(endpoint, RunTerms(Keys(), 30.0, None, 50), "m", 50, 100, lambda _: None)
    with pytest.raises(Stopped, match="more than a comparison keeps"):
        await make_all(path._ask, (1,), 50, lambda _: None)
    assert (made - 1) * len(big) <= most_in_all(made, 50) < made * len(big)
