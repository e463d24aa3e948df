"""Files as they are in production, with what is known of nginx about each: what fails, by which directive, what mends.

No expectation here comes from a run; it is what nginx's documentation says. `proxy_buffering` is on unless it is off,
and then holds what has no frames of its own, large events, early headers, and what came before a reset. Errors are
replaced where they are intercepted. A client's leaving is ignored where that is asked for, and while a reply is cached.
Without chunks a cut is the end of a reply as any other. A request is sent again where `non_idempotent` allows it, and
refused where its body is beyond the limit.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products.adapted import EntranceWish, Needs
from lab.products.nginx import PRODUCT
from lab.products.nginx.adapt import adapt
from lab.products.nginx.check import check
from lab.vocabulary import Requirement
from tests.verify.running import verified

FILES = Path(__file__).parent / "files"

BUFFERING = {
    Requirement.DELIVERS_TOKENS_AS_THEY_COME: "proxy_buffering off;",
    Requirement.SENDS_HEADERS_AT_ONCE: "proxy_buffering off;",
    Requirement.DELIVERS_WHAT_WAS_SENT: "proxy_buffering off;",
}

FINE = (
    "ingress.conf",
    "openwebui.conf",
    "json-log.conf",
    "vllm-auth.conf",
    "modules.conf",
    "regexes.conf",
    "resolver.conf",
    "cors.conf",
    "plain-beside-tls.conf",
    "gateway.conf",
)

BROKEN: dict[tuple[str, str], dict[Requirement, str]] = {
    ("debian", "/v1/chat/completions"): BUFFERING,
    ("try-files.conf", "/v1/chat/completions"): BUFFERING,
    ("accel-header.conf", "/v1/chat/completions"): {
        **BUFFERING,
        Requirement.SHOWS_A_CUT_AS_A_CUT: "chunked_transfer_encoding on;",
    },
    ("gzip-events.conf", "/v1/chat/completions"): BUFFERING,
    ("compose/conf.d/default.conf", "/api/v1/chat/completions"): {
        **BUFFERING,
        Requirement.WAITS_FOR_THE_FIRST_TOKEN: "proxy_read_timeout 600s;",
        Requirement.SURVIVES_SILENCE: "proxy_read_timeout 600s;",
        Requirement.WAITS_FOR_BATCH_REPLIES: "proxy_read_timeout 600s;",
    },
    ("cache.conf", "/v1/chat/completions"): {
        **BUFFERING,
        Requirement.STOPS_WHEN_THE_CLIENT_LEAVES: "proxy_cache off;",
    },
    ("litellm.conf", "/v1/chat/completions"): {Requirement.GENERATES_ONCE: "proxy_next_upstream error timeout;"},
    ("error-pages.conf", "/v1/chat/completions"): {Requirement.PASSES_ERRORS_ON: "proxy_intercept_errors off;"},
    ("client-abort.conf", "/v1/chat/completions"): {
        Requirement.STOPS_WHEN_THE_CLIENT_LEAVES: "proxy_ignore_client_abort off;"
    },
    # Over TLS nothing goes out before a record is full.
    ("tls-balanced.conf", "/v1/chat/completions"): {
        **BUFFERING,
        Requirement.PASSES_HEARTBEATS_ON: "proxy_buffering off;",
        Requirement.MOVES_THE_FIRST_TOKEN_FORWARD: "proxy_buffering off;",
    },
    ("small-body.conf", "/v1/chat/completions"): {
        Requirement.DELIVERS_TOKENS_AS_THEY_COME: "client_max_body_size 8m;",
        Requirement.GENERATES_ONCE: "client_max_body_size 8m;",
    },
}
"""By file and path: what is not met, and the setting that alone mends it."""

USUAL, PATHS = "/v1/chat/completions", {"resolver.conf": "/llm/v1/chat/completions"}
"""What is asked of the files that are fine."""


@pytest.mark.parametrize("name", ["default.conf.template", "ollama.conf"])
def test_a_template_is_read_once_its_values_are_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, the first name that has none is told with its line."""
    with pytest.raises(BadInput, match=rf"{name}:\d+: .* has no value here"):
        adapt(FILES / name, EntranceWish())
    for variable, value in {
        "BASE_PATH": "/llm", "OLLAMA_TOKEN": "x", "PROXY_BUFFERING": "off", "PROXY_READ_TIMEOUT": "75s"
    }.items():  # fmt: skip
        monkeypatch.setenv(variable, value)
    (entrance,) = adapt(FILES / name, EntranceWish()).entrances
    assert entrance.path.endswith("/v1/chat/completions")


@pytest.mark.parametrize(("name", "path"), [*((name, PATHS.get(name, USUAL)) for name in FINE), *BROKEN])
def test_what_is_told_from_the_text_is_what_running_it_shows(name: str, path: str) -> None:
    """`lab check` has no false alarm among these files, and misses nothing."""
    remarks = check(FILES / name, EntranceWish(path=path), "1.30", Needs(4.0, 4.0, 4.0))
    told = {each.requirement: each.fix for each in remarks}
    assert told == BROKEN.get((name, path), {})


def test_a_version_that_asks_with_http_1_0_holds_more(tmp_path: Path) -> None:
    """Before 1.29.7 such replies have no frames: buffered, heartbeats and a short answer come with the end."""
    file = tmp_path / "nginx.conf"
    by_http = {Requirement.PASSES_HEARTBEATS_ON, Requirement.MOVES_THE_FIRST_TOKEN_FORWARD}
    for version, line, expected in (
        ("1.26", "", by_http | {Requirement.SHOWS_A_CUT_AS_A_CUT}),
        ("1.26", "proxy_buffering off;", {Requirement.SHOWS_A_CUT_AS_A_CUT}),
        ("1.26", "proxy_http_version 1.1;", set()),
        ("1.30", "", set()),
    ):
        file.write_text(f"server {{\n    listen 80;\n    location / {{ {line} proxy_pass http://model; }}\n}}\n")
        remarks = check(file, EntranceWish(), version, Needs(4.0, 4.0, 4.0))
        assert {each.requirement for each in remarks if each.fix == "proxy_http_version 1.1;"} == expected


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_no_false_alarm_about_a_file_that_is_fine() -> None:
    """Everything is met, and nothing is tried."""
    found = await verified(PRODUCT, [(FILES / name, PATHS.get(name, USUAL)) for name in FINE], mend=False)
    told = {file.name: (each.failed, each.untold) for file, each in found}
    assert told == {name: ([], []) for name in FINE}


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_each_broken_file_is_told_of_and_mended() -> None:
    """What fails, the directive, and a fix with which everything is met and each line of which is needed."""
    found = await verified(PRODUCT, [(FILES / name, path) for name, path in BROKEN], mend=True)
    assert len(found) == len(BROKEN)
    for file, each in found:
        expected = BROKEN[str(file.relative_to(FILES)), each.entrance.path]
        assert not each.untold, f"{file}: " + "\n".join(f"{one.requirement}: {one.words}" for one in each.untold)
        named = {which: {cause.setting for cause in causes} for which, causes in each.causes.items()}
        assert named == {which: {line} for which, line in expected.items()}, file
        assert set(each.fix) == set(expected.values()), file
        assert each.whole, file
