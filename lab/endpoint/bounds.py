"""How much an audit takes of what a foreign endpoint sends: bytes and lines of each answer, and bytes of all together.

An answer with a limit on its tokens has a size that it plainly does not exceed, and a reply to a plan of the lab's too.
What exceeds it is left and told, so that neither memory nor the time that was stated depends on who answers.
"""

from __future__ import annotations

from lab.evidence import Evidence
from lab.plan import Plan
from lab.probe.codings import ContentDecoder

MOST_BYTES = 16 * 2**20
"""How much body is taken from one reply at the very most, however many tokens were asked for."""

# The longest events of the big vendors have 900 bytes a token, and three lines.
_A_TOKEN, _LINES_A_TOKEN = 2048, 16
_AT_LEAST, _LINES_AT_LEAST = 4 * 2**20, 10_000
_ALL_AT_LEAST, _ALL_AT_MOST = 16 * 2**20, 64 * 2**20

# Of replies to plans some sixty come at once, so that each has less room. In place of a small one a page may come.
_PLANNED_AT_LEAST, _PLANNED_LINES_AT_LEAST = 256 * 1024, 4000
_A_HEARTBEAT = 256


def most_bytes(max_tokens: int) -> int:
    """Bytes of body that are taken of an answer with that limit, and that they may decode to."""
    return min(MOST_BYTES, _AT_LEAST + _A_TOKEN * max_tokens)


def most_lines(max_tokens: int) -> int:
    """Lines of an answer with that limit that are taken; heartbeats have some too."""
    return _LINES_AT_LEAST + _LINES_A_TOKEN * max_tokens


def most_in_all(requests: int, max_tokens: int) -> int:
    """Bytes of the answers to so many requests, all together, beyond which nothing more is asked."""
    return min(_ALL_AT_MOST, _ALL_AT_LEAST + _A_TOKEN * requests * max_tokens)


def planned_bytes(plan: Plan) -> int:
    """Bytes of body that are taken of a reply to that plan."""
    return _PLANNED_AT_LEAST + (_A_TOKEN + plan.padding) * plan.tokens + _A_HEARTBEAT * plan.most_heartbeats


def planned_lines(plan: Plan) -> int:
    """Lines of such a reply that are taken."""
    return _PLANNED_LINES_AT_LEAST + _LINES_A_TOKEN * (plan.tokens + plan.most_heartbeats)


def size_of(evidence: Evidence) -> int:
    """Bytes of an answer that were kept, as they are read: without their content coding."""
    decoder = ContentDecoder(evidence.trace.header("content-encoding"))
    return sum(len(part) for piece in evidence.trace.body for part in decoder.pieces(piece.data))
