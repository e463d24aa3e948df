"""Traefik's files as they are in production, with what is known of Traefik about each: what fails, and what mends.

No expectation here comes from a run; it is what Traefik's documentation says. `writeTimeout` is one for the whole
reply, and `responseHeaderTimeout` for a reply to begin. The middleware `buffering` reads a whole reply before it hands
it on, and answers 500 in the place of one that breaks off. `retry` asks again with a POST too where
`retryNonIdempotentMethod` says so, and `errors` has a page in the place of what the model says. `fastProxy` is another
proxy than the usual one; what it does to a stream was measured by hand, and stands in scenarios/recommended.

`readTimeout` is over with the client's body, and `compress` hands on each piece: the files that are fine have these.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab.products.traefik import PRODUCT
from lab.vocabulary import Requirement
from tests.verify.running import assert_mended, verified

FILES = Path(__file__).parent / "files" / "traefik"

FIRST, SILENCE, LONG, BATCH = (
    Requirement.WAITS_FOR_THE_FIRST_TOKEN,
    Requirement.SURVIVES_SILENCE,
    Requirement.LETS_LONG_ANSWERS_FINISH,
    Requirement.WAITS_FOR_BATCH_REPLIES,
)

FINE = {"edge": 2, "ollama": 1, "swarm": 1}
"""With the number of their entrances."""

BROKEN = {
    "write-timeout": dict.fromkeys((FIRST, SILENCE, LONG, BATCH), ("writeTimeout: 0s", "writeTimeout: 3s")),
    "header-timeout": dict.fromkeys((FIRST, BATCH), ("responseHeaderTimeout: 600s", 'responseHeaderTimeout = "3s"')),
    "gpu-timeout.yml": dict.fromkeys(
        (FIRST, BATCH),
        ("responseHeaderTimeout: 600s", "forwardingTimeouts: {dialTimeout: 5s, responseHeaderTimeout: 3s}"),
    ),
    "prompt-limit.yml": dict.fromkeys(
        (
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.SENDS_HEADERS_AT_ONCE,
            Requirement.PASSES_HEARTBEATS_ON,
            Requirement.DELIVERS_WHAT_WAS_SENT,
            Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,
        ),
        ("# buffering", "buffering:"),
    ),
    "error-pages": {Requirement.PASSES_ERRORS_ON: ("# errors", "errors:")},
    "retries.yml": {Requirement.GENERATES_ONCE: ("retryNonIdempotentMethod: false", "retryNonIdempotentMethod: true")},
    "fast-proxy": dict.fromkeys(
        (
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.SENDS_HEADERS_AT_ONCE,
            Requirement.SHOWS_A_CUT_AS_A_CUT,
            Requirement.STOPS_WHEN_THE_CLIENT_LEAVES,
        ),
        ("# fastProxy", "fastProxy:"),
    ),
}
"""By file: what is not met, the setting that alone mends it, and what stands in its place."""


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_no_false_alarm_about_a_file_that_is_fine() -> None:
    """Everything is met, over TLS and HTTP/2 where it is offered, and nothing is tried."""
    found = await verified(PRODUCT, [(FILES / name, "") for name in FINE], mend=False)
    assert Counter(name for name in FINE for file, _ in found if file == FILES / name) == FINE
    assert [(file.stem, each.failed, each.untold) for file, each in found if each.failed or each.untold] == []


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_each_broken_file_is_told_of_and_mended() -> None:
    """What fails, the line, and a fix with which everything is met and each line of which is needed."""
    found = await verified(PRODUCT, [(FILES / name, "") for name in BROKEN], mend=True)
    assert len(found) == len(BROKEN)
    for file, each in found:
        assert_mended(file, each, {which: [pair] for which, pair in BROKEN[file.name].items()})
