"""An endpoint that means harm: what an audit takes of it in memory and in time, and how it says that it left."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import brotli  # type: ignore[import-untyped]  # it has no stubs
import pytest
import zstandard
from probe.fault_server import CHUNKED, HEAD, FaultServer, Peer, Script, chunk

from lab.audit.programme import LONGEST_WAIT, Wish, make_programme
from lab.audit.results import load
from lab.audit.run import READ_AGAIN, READING, Run
from lab.cli import main
from lab.endpoint.address import endpoints_of
from lab.endpoint.bounds import most_bytes, most_in_all, most_lines, size_of
from lab.endpoint.keys import Keys
from lab.endpoint.samples import Sample
from lab.errors import ExitCode
from lab.evidence import Evidence, TransportEnd

from .foreign import sample

pytestmark = pytest.mark.usefixtures("own_signals")

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
LINES, BYTES = most_lines(16), most_bytes(16)


def flooding(first: bytes, piece: bytes) -> Script:
    """Sends this, and then that without end."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(first))
        while not peer.over.is_set():
            peer.send(piece)

    return script


ROLE = b'{"delta":{"role":"assistant"}},'
FLOODS: dict[str, tuple[Script, str]] = {
    "comments": (flooding(TEXT, chunk(b":\n" * 10_000)), f"more than {LINES:,} lines of body"),
    "one line": (flooding(TEXT + b"data: ", chunk(b"x" * 2**18)), f"more than {BYTES:,} bytes of body"),
    "one event of many": (
        flooding(TEXT + b'data: {"choices":[', chunk(ROLE * LINES + b'{"delta":{}}]}\n\ndata: {"choices":[')),
        f"more than {LINES:,} events",
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_left_for_what_there_is_too_much_of(name: str, tmp_path: Path) -> None:
    """Each answer is left at once, which is no timeout and no end of the model's; the path fails by it."""
    script, words = FLOODS[name]
    with FaultServer(script) as server:
        url = f"{server.url}/v1/chat/completions"
        code = main(["audit", url, "--runs", "1", "--at-once", "1", "--max-tokens", "16", "--out", str(tmp_path)])
    results = load(tmp_path / "audit.json")
    assert code == ExitCode.REQUIREMENT_FAILED
    assert {sample.transport_end for sample in results.samples} == {TransportEnd.LEFT}
    assert {sample.ending for sample in results.samples} == {None}
    assert results.conclusions is not None
    failures = [one.sentence for one in results.conclusions.problems if "the audit left an answer of" in one.sentence]
    assert words in failures[0]


def deflated(window: int) -> Callable[[bytes], bytes]:
    """Packs with zlib in that format."""

    def pack(data: bytes) -> bytes:
        deflater = zlib.compressobj(1, wbits=window)
        return deflater.compress(data) + deflater.flush()

    return pack


LINE, TINY = b"data: " + b"x" * (16 * 2**20), b":\n" * (8 * 2**20)
BOMBS: dict[str, tuple[Callable[[bytes], bytes], bytes]] = {
    "gzip": (deflated(31), TINY),
    "deflate": (deflated(15), LINE),
    "br": (lambda data: brotli.compress(data, quality=1), TINY),
    "zstd": (zstandard.compress, LINE),
}

# What getrusage tells would be this process's own peak, for a child begins with that.
_AUDITED = """
import re, sys
from pathlib import Path
from lab.cli import main
for url in sys.argv[2:]:
    print(main(["audit", url, "--runs", "1", "--at-once", "1", "--out", sys.argv[1]]), file=sys.stderr)
print("peak", re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def test_bombs_cost_no_memory(tmp_path: Path) -> None:
    """Sixteen megabytes in some kilobytes, in each coding: the audits of all of them together stay small."""
    with ExitStack() as stack:
        urls = []
        for coding, (pack, filler) in BOMBS.items():
            packed = pack(TEXT + filler)
            head = HEAD + f"Content-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
            server = stack.enter_context(FaultServer(_sending(head + packed)))
            urls.append(f"{server.url}/v1/chat/completions")
        words = [sys.executable, "-c", _AUDITED, str(tmp_path), *urls]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert re.findall(r"^\d$", done.stderr, re.MULTILINE) == ["1"] * len(BOMBS)
    assert done.stdout.count("bytes of decoded body") + done.stdout.count("lines of body") >= len(BOMBS)
    peak = int(done.stderr.rpartition("peak ")[2])
    assert peak < 150 * 1024, f"{peak} KiB"


def _sending(answer: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(answer)

    return script


class Timeout:
    """A timeout that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time that it is."""
        return self.now


class TestTheStatedBounds:
    """Requests that would break a bound are not made, and the reader learns how many and which bound."""

    @pytest.fixture(autouse=True)
    def _canned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timeout, self.takes, self.reading, self.size = Timeout(), 0.0, 0.0, 10

        async def answer(_endpoint: object, setting: object, _ask: object, _terms: object) -> Sample:
            self.timeout.now += self.takes
            found = sample([(0.1, TEXT), (0.2, b":" * self.size)])
            return Sample(setting, found.evidence)  # type: ignore[arg-type]

        def read_slowly(evidence: Evidence) -> int:
            self.timeout.now += self.reading
            return size_of(evidence)

        monkeypatch.setattr("lab.audit.run.size_of", read_slowly)
        monkeypatch.setattr("lab.audit.run.time", SimpleNamespace(monotonic=self.timeout.monotonic))
        monkeypatch.setattr("lab.audit.run.ask_endpoint", answer)

    def run_of(self, runs: int) -> Run:
        """A run of two rounds each."""
        programme = make_programme(endpoints_of("http://127.0.0.1:1/v1/chat/completions"), Wish(runs, at_once=1))
        return Run(programme, Keys(), "m", 15.0, None, lambda _: None)

    async def test_answers_that_take_their_patience_are_all_asked_for(self) -> None:
        """What was stated has room for every answer to take as long as it may, and a second to be left in."""
        self.takes = 16.0
        run = self.run_of(5)
        await run.run()
        assert (run.made, dict(run.unasked)) == (10, {})

    @pytest.mark.parametrize("takes", [20.0, 40.0, 200.0])
    async def test_the_stated_time_holds(self, takes: float) -> None:
        """Where an answer takes longer than it may, for whatever reason, the rounds that remain are not made."""
        self.takes = takes
        run = self.run_of(2)
        await run.run()
        stated = 4 * 15 + LONGEST_WAIT
        assert f"the bound is {stated:g} s" in run.programme.duration(15.0)
        # No answer is asked for that could not be had in time.
        assert self.timeout.now - 1000 - takes + 15 + READING <= stated
        assert run.unasked.total() == 4 - run.made
        assert set(run.unasked) <= {f"the stated bound of {stated:g} s holds"}

    async def test_time_is_left_to_read_what_came(self) -> None:
        """Answers that take long to read are fewer: at the end, all of them are read again."""
        self.takes, self.reading = 15.0, 2.0
        run = self.run_of(5)
        await run.run()
        assert run.made < 10
        assert self.timeout.now - 1000 + READING + READ_AGAIN * 2.0 * (run.made - 1) <= 10 * 15 + LONGEST_WAIT

    async def test_answers_together_have_a_bound(self) -> None:
        """Where each is as large as it may be, no more is asked once they are plainly too many."""
        self.size = most_bytes(600) - len(TEXT)
        run = self.run_of(10)
        await run.run()
        (bound,) = run.unasked
        assert run.made + run.unasked[bound] == 20
        assert (run.made - 1) * most_bytes(600) <= most_in_all(run.made, 600) < run.made * most_bytes(600)
        assert bound == f"no more is kept than {most_in_all(run.made, 600):,} bytes of all answers"


def test_there_is_room_for_the_largest_answers_of_the_vendors() -> None:
    """Nine hundred bytes and six lines for each token are within the bounds, for any limit that an audit may set."""
    for tokens in (1, 600, 10_000):
        assert most_bytes(tokens) > 900 * tokens + 64 * 1024
        assert most_lines(tokens) > 6 * tokens + 1000
