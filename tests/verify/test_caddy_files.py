"""Caddyfiles as they are in production, with what is known of Caddy about each: what fails, and what mends.

No expectation here comes from a run; it is what Caddy's documentation and its source say.
`response_header_timeout` and `read_timeout` end what keeps silent; `write` of a server's timeouts is one for the whole
reply. `response_buffers` reads a reply before it hands it on, with whatever came of it before a death. What was handed
to a server is asked again where `lb_retry_match` says so, if there is a buffered body to ask with. A body beyond
`max_size` is refused, and `handle_response` answers in the place of the model.

`read_body` is over with the client's body, since Go's server lifts the deadline then; `stream_timeout` is for what is
upgraded, and `flush_interval` is not looked at where a reply's length is not known: the files that are fine have these.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab.products.adapted import EntranceWish, Mending, Spot
from lab.products.caddy import PRODUCT
from lab.vocabulary import Requirement
from tests.verify.running import assert_mended, verified

FILES = Path(__file__).parent / "files" / "caddy"

FIRST, SILENCE, LONG, BATCH = (
    Requirement.WAITS_FOR_THE_FIRST_TOKEN,
    Requirement.SURVIVES_SILENCE,
    Requirement.LETS_LONG_ANSWERS_FINISH,
    Requirement.WAITS_FOR_BATCH_REPLIES,
)

FINE = {
    "one-site.caddyfile": 1,
    "shop": 2,
    "wildcard.caddyfile": 1,
    "behind-lb.caddyfile": 1,
    "read-body.caddyfile": 1,
}
"""With the number of their entrances."""

BROKEN = {
    "header-timeout": dict.fromkeys((FIRST, BATCH), ("response_header_timeout 600s", "response_header_timeout 3s")),
    "read-timeout": dict.fromkeys((FIRST, SILENCE, BATCH), ("read_timeout 600s", "read_timeout 3s")),
    "snippets": dict.fromkeys((FIRST, SILENCE, BATCH), ("read_timeout 600s", "read_timeout 3s")),
    "write-timeout": dict.fromkeys((FIRST, SILENCE, LONG, BATCH), ("write 600s", "write 3s")),
    "buffers": dict.fromkeys(
        (
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.SENDS_HEADERS_AT_ONCE,
            Requirement.PASSES_HEARTBEATS_ON,
            Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,
        ),
        ("response_buffers 0", "response_buffers 1MiB"),
    ),
    "retries": {Requirement.GENERATES_ONCE: ("lb_retries 0", "lb_retries 3")},
    "small-body": dict.fromkeys(
        (Requirement.DELIVERS_TOKENS_AS_THEY_COME, Requirement.GENERATES_ONCE), ("max_size 64MB", "max_size 100KB")
    ),
}
"""By file: what is not met, the setting that alone mends it, and what stands in its place."""

OLDER = {
    # Before 2.9 a request is not cancelled where this is -1 (github.com/caddyserver/caddy, 238f1108e).
    "flush": {Requirement.STOPS_WHEN_THE_CLIENT_LEAVES: ("flush_interval 0", "flush_interval -1")},
    # The scenario `compression` has the mechanism.
    "compress": {
        Requirement.DELIVERS_TOKENS_AS_THEY_COME: ("match header Content-Type application/json*", "encode gzip {")
    },
    # It begins with the first write of 512 bytes.
    "encode": {
        Requirement.DELIVERS_TOKENS_AS_THEY_COME: ("match header Content-Type application/json*", "encode zstd gzip")
    },
}
"""The same of Caddy 2.8; 2.11 meets everything. Without `enable_full_duplex` 2.8 cuts some streams by chance."""


@pytest.fixture(autouse=True)
def _upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of `wildcard`."""
    monkeypatch.setenv("VLLM_UPSTREAM", "vllm:8000")


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_no_false_alarm_about_a_file_that_is_fine() -> None:
    """Everything is met, over TLS and HTTP/2 where it is offered, and nothing is tried."""
    newer = {f"{name}.caddyfile": 1 for name in OLDER}
    found = await verified(PRODUCT, [(FILES / name, "") for name in (*FINE, *newer)], mend=False)
    assert Counter(name for name in (*FINE, *newer) for file, _ in found if file == FILES / name) == FINE | newer
    assert [(file.stem, each.failed, each.untold) for file, each in found if each.failed or each.untold] == []


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
@pytest.mark.parametrize(("version", "broken"), [("2.11", BROKEN), ("2.8", OLDER)])
async def test_each_broken_file_is_told_of_and_mended(
    version: str, broken: dict[str, dict[Requirement, tuple[str, str]]]
) -> None:
    """What fails, the line, and a fix with which everything is met and each line of which is needed."""
    asked = [(FILES / f"{name}.caddyfile", "/v1/chat/completions" if name == "buffers" else "") for name in broken]
    found = await verified(PRODUCT, asked, mend=True, version=version)
    assert len(found) == len(broken)
    for file, each in found:
        assert_mended(file, each, {which: [pair] for which, pair in broken[file.stem].items()})


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_a_block_that_answers_for_the_model_is_named_and_goes() -> None:
    """No setting makes up for a page in the place of the model's errors."""
    file = FILES / "error-pages.caddyfile"
    ((_, each),) = await verified(PRODUCT, [(file, "")], mend=True)
    assert [one.requirement for one in each.failed] == [Requirement.PASSES_ERRORS_ON]
    (change,) = each.fix
    assert isinstance(change, Spot)
    assert each.causes == {Requirement.PASSES_ERRORS_ON: (Mending("", change),)}
    assert (change.line, change.text, each.untold, each.whole) == (4, "handle_response @down {", [], True)
    assert PRODUCT.adapt is not None
    lines = file.read_text().splitlines(keepends=True)
    assert PRODUCT.adapt(file, EntranceWish()).without(change) == {file: "".join([*lines[:3], *lines[6:]])}
