"""Files of Envoy as they are in production, with what is known of Envoy about each: what fails, and what mends.

No expectation here comes from a run; it is what Envoy's documentation says. A route ends a request after 15 s unless it
says otherwise, whatever comes meanwhile; `stream_idle_timeout` ends it when nothing comes, `max_stream_duration` of the
connection manager or of a cluster when it is over; `per_try_timeout` counts until the reply begins. A retry on `reset`
or `5xx` has the model generate again. The buffer filter refuses a request that is larger than it takes, a script that
asks for the whole body holds the reply until it is there, and `custom_response` puts its own words in the place of an
error's.

`request_timeout` is about the client's request, `idle_timeout` of HTTP options about connections without requests, and
the compressor flushes whatever it is given: the files that are fine have these.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab.products.envoy import LEVERS, PRODUCT
from lab.suite.settle import Waits
from lab.vocabulary import Requirement
from tests.verify.running import assert_mended, verified

FILES = Path(__file__).parent / "files" / "envoy"

FIRST, SILENCE, LONG, BATCH = (
    Requirement.WAITS_FOR_THE_FIRST_TOKEN,
    Requirement.SURVIVES_SILENCE,
    Requirement.LETS_LONG_ANSWERS_FINISH,
    Requirement.WAITS_FOR_BATCH_REPLIES,
)

FINE = {"sidecar": 1, "edge-tls": 1, "gateway": 2, "worker": 1}
"""With the number of their entrances."""

DURATION, TRY, RETRY, BODY, LUA, RESPONSE = LEVERS[:6]

Causes = tuple[tuple[str, str], ...]

BROKEN: dict[str, dict[Requirement, Causes]] = {
    "idle": dict.fromkeys((FIRST, SILENCE, BATCH), (("idle_timeout: 600s", "stream_idle_timeout: 3s"),)),
    "retries": {Requirement.GENERATES_ONCE: ((RETRY, "retry_policy:"),)},
    "per-try": dict.fromkeys((FIRST, BATCH), ((TRY, "per_try_timeout: 2s"), (RETRY, "retry_policy:"))),
    "duration": dict.fromkeys(
        (FIRST, SILENCE, LONG, BATCH),
        (
            (
                DURATION,
                "common_http_protocol_options: {max_stream_duration: 3s, idle_timeout: 300s}",
            ),
        ),
    ),
    "cluster-duration": dict.fromkeys((FIRST, SILENCE, LONG, BATCH), ((DURATION, "max_stream_duration: 3s"),)),
    "small-body": dict.fromkeys(
        (Requirement.DELIVERS_TOKENS_AS_THEY_COME, Requirement.GENERATES_ONCE), ((BODY, "max_request_bytes: 131072"),)
    ),
    "lua-usage": dict.fromkeys(
        (
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.SENDS_HEADERS_AT_ONCE,
            Requirement.PASSES_HEARTBEATS_ON,
            Requirement.DELIVERS_WHAT_WAS_SENT,
            Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,
        ),
        ((LUA, "name: usage"),),
    ),
    "error-pages": {Requirement.PASSES_ERRORS_ON: ((RESPONSE, "name: envoy.filters.http.custom_response"),)},
}
"""By file: what is not met, and each setting that alone mends it, with what stands in its place; the first is taken."""

UNTIL_15_S = Waits(17.0, 17.0, 17.0)


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_no_false_alarm_about_a_file_that_is_fine() -> None:
    """Everything is met, over TLS and HTTP/2 where it is offered, and nothing is tried."""
    found = await verified(PRODUCT, [(FILES / f"{name}.yaml", "") for name in FINE], mend=False)
    assert Counter(file.stem for file, _ in found) == FINE
    assert [(file.stem, each.failed, each.untold) for file, each in found if each.failed or each.untold] == []


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_each_broken_file_is_told_of_and_mended() -> None:
    """What fails, the line, and a fix with which everything is met and each line of which is needed."""
    found = await verified(PRODUCT, [(FILES / f"{name}.yaml", "") for name in BROKEN], mend=True)
    assert len(found) == len(BROKEN)
    for file, each in found:
        assert_mended(file, each, BROKEN[file.stem])


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_what_the_quick_start_does_not_say_ends_every_request_after_15_s() -> None:
    """A wait of 17 s shows it; nothing stands in the place of what mends it."""
    ((_, each),) = await verified(PRODUCT, [(FILES / "quickstart.yaml", "")], mend=True, waits=UNTIL_15_S)
    assert not each.untold
    assert set(each.causes) == {FIRST, SILENCE, LONG, BATCH}
    assert [(cause.setting, cause.spot) for causes in each.causes.values() for cause in causes] == [
        ("timeout: 0s", None)
    ] * 4
    assert each.fix == ("timeout: 0s",)
    assert each.whole
