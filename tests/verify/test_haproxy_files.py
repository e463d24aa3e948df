"""HAProxy's files as they are in production, with what is known of HAProxy about each: what fails, and what mends.

No expectation here comes from a run; it is what HAProxy's configuration manual says. Without `option http-no-delay`
what a server writes piecemeal waits for more. `timeout server` is each wait for the server's next byte, and
`http-request set-timeout server` goes before it. `retry-on
all-retryable-errors` sends a request again that the model has begun on, up to `retries` times. Without `option
abortonclose` a request goes on whose client has left. `wait-for-body` reads a reply before any of it is handed on, and
no setting beside it takes that back: it has to go.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.products.adapted import EntranceWish, Spot
from lab.products.haproxy import PRODUCT
from lab.vocabulary import Requirement
from tests.verify.running import assert_mended, verified

FILES = Path(__file__).parent / "files" / "haproxy"

FINE = {"edge": 2, "compose": 1}
"""With the number of their entrances."""

BROKEN: dict[str, dict[Requirement, tuple[tuple[str, str], ...]]] = {
    "packaged": {Requirement.DELIVERS_TOKENS_AS_THEY_COME: (("option http-no-delay", ""),)},
    "server-timeout": dict.fromkeys(
        (
            Requirement.WAITS_FOR_THE_FIRST_TOKEN,
            Requirement.SURVIVES_SILENCE,
            Requirement.WAITS_FOR_BATCH_REPLIES,
        ),
        (("timeout server 600s", "timeout server 3s"),),
    ),
    "gpu-first": dict.fromkeys(
        (
            Requirement.WAITS_FOR_THE_FIRST_TOKEN,
            Requirement.SURVIVES_SILENCE,
            Requirement.WAITS_FOR_BATCH_REPLIES,
        ),
        (("timeout server 600s", "timeout server 3s"),),
    ),
    "rule-timeout": dict.fromkeys(
        (
            Requirement.WAITS_FOR_THE_FIRST_TOKEN,
            Requirement.SURVIVES_SILENCE,
            Requirement.WAITS_FOR_BATCH_REPLIES,
        ),
        (
            (
                "http-request set-timeout server 600s",
                "http-request set-timeout server 3s if { path_beg /v1/ }",
            ),
        ),
    ),
    "retries": {
        Requirement.GENERATES_ONCE: (
            ("retry-on conn-failure", "retry-on all-retryable-errors"),
            ("retries 0", "retries 3"),
        )
    },
    "goes-on": {Requirement.STOPS_WHEN_THE_CLIENT_LEAVES: (("option abortonclose", "no option abortonclose"),)},
}
"""By file: what is not met, and each setting that alone mends it, with what stands in its place; the first is taken."""

HAS_TO_GO = {
    "wait-for-body": (
        "http-response wait-for-body time 20s at-least 64k",
        {
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.SENDS_HEADERS_AT_ONCE,
            Requirement.PASSES_HEARTBEATS_ON,
            Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,
        },
    )
}
"""By file: the line that no setting makes up for, and what is not met with it."""


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
@pytest.mark.parametrize("version", [each.number for each in PRODUCT.versions])
async def test_no_false_alarm_about_a_file_that_is_fine(version: str) -> None:
    """Everything is met, over TLS and HTTP/2 where it is offered, and nothing is tried."""
    asked = [(FILES / f"{name}.cfg", "") for name in FINE]
    found = await verified(PRODUCT, asked, mend=False, version=version)
    assert [file.stem for file, _ in found] == [name for name, count in FINE.items() for _ in range(count)]
    assert [(file.stem, each.failed, each.untold) for file, each in found if each.failed or each.untold] == []


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_each_broken_file_is_told_of_and_mended() -> None:
    """What fails, the line, and a fix with which everything is met and each line of which is needed."""
    found = await verified(PRODUCT, [(FILES / f"{name}.cfg", "") for name in BROKEN], mend=True)
    assert len(found) == len(BROKEN)
    for file, each in found:
        assert_mended(file, each, BROKEN[file.stem])


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_a_line_that_no_setting_makes_up_for_is_named_and_goes() -> None:
    """It alone is the cause of all that fails, and the fix is the file without it."""
    found = await verified(PRODUCT, [(FILES / f"{name}.cfg", "") for name in HAS_TO_GO], mend=True)
    assert {file.stem for file, _ in found} == set(HAS_TO_GO)
    for file, each in found:
        line, unmet = HAS_TO_GO[file.stem]
        assert set(each.causes) == unmet
        assert {tuple(map(str, causes)) for causes in each.causes.values()} == {(f"without `{line}`",)}
        (change,) = each.fix
        assert isinstance(change, Spot)
        assert (change.text, each.whole) == (line, True)
        text = file.read_text()
        assert PRODUCT.adapt is not None
        assert PRODUCT.adapt(file, EntranceWish()).without(change) == {file: text.replace(f"    {line}\n", "")}
