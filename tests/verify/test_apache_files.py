"""Apache's files as they are in production, with what is known of Apache about each: what fails, and what mends.

No expectation here comes from a run; it is what Apache's documentation says. `ProxyTimeout`, or `Timeout` without it,
ends what keeps silent, unless the worker has a `timeout=` of its own. `ProxyErrorOverride` puts a page in the place of
the model's error. Asked with HTTP/1.0 a model frames its reply by closing, and so does Apache itself for a client that
`downgrade-1.0` takes for an old one: then a cut is an end as any other. (`force-response-1.0` is for old clients only.)
A filter that is a program hands on what it has when it is asked for more, and not at once.

mod_proxy's own filters, such as DEFLATE, are flushed whenever the model pauses: the files that are fine have those.
That Apache does not watch its client while it waits for the model is known, and no file is to blame.

Between its two tiers `two-tiers.conf` reuses no connection: with reuse, beside busy processes, the outer tier answered
one of some hundred requests with 502 within 0.3 s, in 3 of 8 verifications, and in 0 of 5 without (`ttl=4` did not
help). Such a request was lost, whoever is to blame, so that no file with it is one of which all is known.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.products.apache import PRODUCT
from lab.vocabulary import Requirement
from tests.verify.running import assert_mended, verified

FILES = Path(__file__).parent / "files" / "apache"

SILENCES = (
    Requirement.WAITS_FOR_THE_FIRST_TOKEN,
    Requirement.SURVIVES_SILENCE,
    Requirement.WAITS_FOR_BATCH_REPLIES,
)

FINE = ("site.conf", "rhel", "socket.conf")

BROKEN = {
    "debian": dict.fromkeys(SILENCES, ("ProxyTimeout 600", "Timeout 3")),
    "rewrite.conf": dict.fromkeys(SILENCES, ("ProxyTimeout 600", "Timeout 3")),
    "macro.conf": dict.fromkeys(SILENCES, ("ProxyTimeout 600", "ProxyTimeout 3")),
    "two-tiers.conf": dict.fromkeys(SILENCES, ("ProxyTimeout 600", "ProxyTimeout 3")),
    "worker-timeout.conf": dict.fromkeys(
        SILENCES, ("timeout=600", 'ProxyPass "/v1/" "http://10.0.0.5:8000/v1/" timeout=3 retry=0')
    ),
    "members.conf": dict.fromkeys(SILENCES, ("timeout=600", "BalancerMember http://gpu1:8000 timeout=3 route=a")),
    "error-pages.conf": {Requirement.PASSES_ERRORS_ON: ("ProxyErrorOverride Off", "ProxyErrorOverride On")},
    "http10.conf": {
        Requirement.SHOWS_A_CUT_AS_A_CUT: (
            "UnsetEnv force-proxy-request-1.0",
            "SetEnv force-proxy-request-1.0 1",
        )
    },
    "old-clients.conf": {
        Requirement.SHOWS_A_CUT_AS_A_CUT: ("UnsetEnv downgrade-1.0", "SetEnv downgrade-1.0 1"),
    },
    "filter.conf": dict.fromkeys(
        (
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.SENDS_HEADERS_AT_ONCE,
            Requirement.PASSES_HEARTBEATS_ON,
            Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,
        ),
        ("# SetOutputFilter", "SetOutputFilter clean"),
    ),
}
"""By file: what is not met, the setting that alone mends it, and what stands in its place."""


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
@pytest.mark.parametrize("version", [each.number for each in PRODUCT.versions])
async def test_no_false_alarm_about_a_file_that_is_fine(version: str) -> None:
    """Everything is met that Apache can meet, over TLS and HTTP/2 where it is offered, and nothing is tried."""
    found = await verified(PRODUCT, [(FILES / name, "") for name in FINE], mend=False, version=version)
    told = {file.name: ([*each.failed, *each.untold], each.tried) for file, each in found}
    assert told == {name: ([], ()) for name in FINE}
    known = {one.requirement for _, each in found for one in each.unmeetable}
    assert known == {Requirement.STOPS_WHEN_THE_CLIENT_LEAVES}


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_each_broken_file_is_told_of_and_mended() -> None:
    """What fails, the line, and a fix with which all is met that Apache can meet, each line of which is needed."""
    found = await verified(PRODUCT, [(FILES / name, "") for name in BROKEN], mend=True)
    assert len(found) == len(BROKEN)
    for file, each in found:
        assert_mended(file, each, {which: [pair] for which, pair in BROKEN[file.name].items()})
