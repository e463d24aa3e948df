"""Paths of several hops: which one ends which answers, by arithmetic that a reader can do by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.cli import main
from lab.cli.active import save
from lab.durations import write_duration
from lab.errors import BadInput, ExitCode
from lab.judge import Observation
from lab.measure.findings import ActiveFindings, Found, TimeoutFound
from lab.plan import Gap, make_plan
from lab.products import PROXIES
from lab.products.adapted import EntranceWish
from lab.products.nginx.adapt import adapt
from lab.suite.exchange import Exchange
from lab.testbed.supply import FromEngine
from lab.verify.rounds import Copy, UserFile, observe_copies
from lab.verify.whole_path import (
    PROFILES,
    Fate,
    Hop,
    PathTable,
    answers_on,
    heartbeat_for,
    hops_of,
    read_path,
    silences_ended,
    unreached,
)
from lab.vocabulary import Requirement, State, Watched

DOCS = Path(__file__).parents[2] / "docs" / "verify.md"
FIRST_BYTE, IDLE, TOTAL, BATCH = Watched.FIRST_BYTE, Watched.IDLE, Watched.TOTAL, Watched.BATCH_REPLY
NGINX = "server {\n    listen 80;\n    location / {\n        proxy_pass http://model:8000;\n    }\n}\n"

pytestmark = pytest.mark.usefixtures("own_signals")


def hop(name: str, proven: Mapping[Watched, float] | None = None, **seconds: float) -> Hop:
    """A hop with these timeouts."""
    timeouts = {Watched(watched.replace("_", "-")): value for watched, value in seconds.items()}
    return Hop(name, "stated", timeouts, proven or {})


def fates(hops: list[Hop], first_token: float = 90, gap: float = 30, longest: float = 600) -> list[tuple[str, str]]:
    """What becomes of each kind of answer, and by which hop."""
    table = PathTable.model_validate(
        {"first_token": first_token, "gap": gap, "longest": longest, "hops": [{"name": "a", "profile": "aws-alb"}]}
    )
    return [(each.fate.value, each.hop.name if each.hop else "") for each in answers_on(table, hops)]


THROUGH = (Fate.COMES_THROUGH.value, "")


def test_the_shortest_timeout_that_an_answer_meets_ends_it() -> None:
    """Each answer by the timeout that watches what it does: a silence, its length, or its one reply."""
    near = hop("near", first_byte=60, idle=100, batch_reply=60)
    far = hop("far", first_byte=50, idle=20, total=300)
    assert fates([near, far]) == [("cut", "far"), ("cut", "far"), ("cut", "far"), ("cut", "near")]
    assert fates([near]) == [("cut", "near"), THROUGH, THROUGH, ("cut", "near")]
    assert fates([near], first_token=59, longest=59) == [THROUGH] * 4


def test_a_timeout_on_the_whole_ends_a_silence_too_and_no_heartbeat_helps() -> None:
    """Half a minute in all, of which nothing came; a heartbeat is named only where it would have helped."""
    whole = hop("whole", total=30)
    assert fates([whole, hop("a", first_byte=60)]) == [("cut", "whole")] * 4
    table = PathTable.model_validate({"first_token": 90, "gap": 20, "hops": [{"name": "x", "profile": "heroku"}]})
    assert silences_ended(table, [whole]) == (False, False)
    assert silences_ended(table, [whole, hop("a", first_byte=90, idle=21)]) == (True, False)
    assert silences_ended(table, [hop("a", idle=20)]) == (False, True)


def test_a_wait_as_long_as_the_timeout_is_cut() -> None:
    """Nobody can build on which of the two comes first."""
    assert fates([hop("a", idle=30)])[1] == ("cut", "a")
    assert fates([hop("a", idle=30.1)])[1] == THROUGH


def test_beyond_what_was_measured_nothing_is_told() -> None:
    """A hop that was looked at up to a minute may end what takes ten; a cut elsewhere is one all the same."""
    measured = hop("measured", proven={FIRST_BYTE: 60, IDLE: 60, TOTAL: 60, BATCH: 60})
    unknown = ("cannot tell", "measured")
    assert fates([measured]) == [unknown, THROUGH, unknown, unknown]
    assert fates([measured, hop("b", total=300)])[2] == ("cut", "b")


def test_heartbeats_come_twice_in_the_shortest_silence() -> None:
    """A timeout on the whole asks for none, and what was measured to come through is no shorter than the interval."""
    assert heartbeat_for([hop("a", idle=60, first_byte=100), hop("b", first_byte=50, total=10)]) == 25
    assert heartbeat_for([hop("a", total=10)]) is None
    assert heartbeat_for([hop("a", idle=60), hop("b", proven={IDLE: 4.0, FIRST_BYTE: 0.0})]) == 4


def test_a_hop_that_holds_hides_heartbeats_from_those_in_front_of_it() -> None:
    """Not from those behind it, nor from itself."""
    front, holding, behind = hop("front"), replace(hop("holding"), holding="a.conf:3"), hop("behind")
    assert unreached([front, holding, behind]) == [(holding, [front])]
    assert unreached([holding, behind]) == []


def test_every_profile_says_where_it_stands() -> None:
    """With a link, and the day on which it was looked up; each is marked as stated, and named on the page."""
    assert [name for name in PROFILES if f"`{name}`" not in DOCS.read_text()] == []
    for name, profile in PROFILES.items():
        assert profile.source.startswith("https://"), name
        table = PathTable.model_validate({"hops": [{"name": "x", "profile": name}]})
        (found,) = hops_of(table, Path(), {})
        assert found.basis == f"stated, not measured: {profile.source} ({profile.date.isoformat()})"


def test_an_idle_timeout_holds_for_the_first_byte_too() -> None:
    """Where nothing else is stated of that; what is not stated counts as none."""
    (found,) = hops_of(PathTable.model_validate({"hops": [{"name": "x", "profile": "aws-alb"}]}), Path(), {})
    assert found.timeouts == dict.fromkeys((FIRST_BYTE, BATCH, Watched.FIRST_TOKEN, IDLE), 60.0)
    stated = {"source": "x", "date": "2026-11-02", "first_byte": "5s", "idle": "9s"}
    (found,) = hops_of(PathTable.model_validate({"hops": [{"name": "x", "stated": stated}]}), Path(), {})
    assert (found.timeouts[FIRST_BYTE], found.timeouts[IDLE], TOTAL in found.timeouts) == (5, 9, False)


@pytest.mark.parametrize(
    ("lines", "seconds", "basis", "holding"),
    [
        ("", 60, "read: the default, which {file}:3 does not override", "{file}:3: location / {{"),
        ("proxy_read_timeout 5m;", 300, "read: {file}:5: proxy_read_timeout 5m;", "{file}:3: location / {{"),
        ("proxy_buffering off;", 60, "read: the default, which {file}:3 does not override", ""),
        ("proxy_buffering on;", 60, "read: the default", "{file}:5: proxy_buffering on;"),
    ],
)
def test_a_hop_of_nginx_is_read_from_its_file(
    lines: str, seconds: float, basis: str, holding: str, tmp_path: Path
) -> None:
    """By the directive, or as the default; a path is named from the file in which it stands."""
    file = tmp_path / "nginx.conf"
    file.write_text(NGINX.replace("8000;\n", f"8000;\n        {lines}\n"))
    table = PathTable.model_validate({"hops": [{"name": "x", "config": {"product": "nginx", "file": "nginx.conf"}}]})
    (found,) = hops_of(table, tmp_path, {})
    assert set(found.timeouts.values()) == {seconds}
    assert TOTAL not in found.timeouts
    assert found.basis.startswith(basis.format(file=file))
    assert found.holding == holding.format(file=file)


def test_a_hop_that_was_measured_has_what_its_audit_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A value, and where there is none, up to where that was looked at."""
    some = [
        TimeoutFound(IDLE, Found.TIMEOUT, 20.0, 0.1, 19.0, 3, 4, 3, (), ""),
        TimeoutFound(TOTAL, Found.NONE, None, 0.0, 60.0, 0, 4, 0, (), ""),
    ]
    held = Observation(Requirement.PASSES_HEARTBEATS_ON, State.NOT_MET, "", "none of 10 came")
    found = ActiveFindings(
        url="https://h/v1",
        model_url="https://h",
        through_path=True,
        wire_format="openai-chat",
        longest=60.0,
        shortest=1.0,
        seconds=61.0,
        requests=0,
        timeouts=tuple(some),
        smallest=None,
        terminations=(),
        effects=(),
        modes=(),
        observations=(held,),
        summary="",
        notes=(),
        exchanges=(),
        started="2026-11-20T10:00:00+00:00",
    )
    save(found, tmp_path / "active.json")
    path = tmp_path / "path.toml"
    path.write_text(
        'gap = "30s"\nlongest = "90s"\n[[hops]]\nname = "front"\nprofile = "aws-alb"\n'
        '[[hops]]\nname = "edge"\naudit = "active.json"\n'
    )
    assert main(["check", str(path)]) == ExitCode.REQUIREMENT_FAILED
    said = capsys.readouterr().out
    assert "edge: 20s (idle); measured: active.json (2026-11-20)" in said
    assert "cut: a stream that is silent for 30s, by edge after 20s (idle; measured)" in said
    assert "cannot tell: a stream that takes 90s: edge was measured up to 60s (total)" in said
    assert "edge may hold it back, so that none reaches front: not met: none of 10 came" in said


BAD = {
    "no hops": ("", "the key hops is missing"),
    "an unknown key": ('hop = 1\n[[hops]]\nname = "x"\nprofile = "aws-alb"', "unknown key hop"),
    "a hop of nothing": ('[[hops]]\nname = "x"', "a hop has one of profile, stated, config and audit"),
    "a hop of two kinds": ('[[hops]]\nname = "x"\nprofile = "a"\naudit = "b"', "a hop has one of"),
    "no such profile": ('[[hops]]\nname = "x"\nprofile = "acme"', "x: there is no profile acme"),
    "no source": (
        '[[hops]]\nname = "x"\nstated = { date = 2026-11-02, idle = "5s" }',
        "hops.0.stated.source is missing",
    ),
    "nothing stated": ('[[hops]]\nname = "x"\nstated = { source = "y", date = 2026-11-02 }', "no timeout is stated"),
    "no duration": ('gap = "soon"\n[[hops]]\nname = "x"\nprofile = "aws-alb"', "gap: 'soon' is no duration"),
    "a product that is not read": (
        '[[hops]]\nname = "x"\nconfig = { product = "caddy", file = "Caddyfile" }',
        "x: timeouts in files of caddy are not read yet",
    ),
    "no such audit": ('[[hops]]\nname = "x"\naudit = "active.json"', "active.json: No such file"),
    "no such file": ('[[hops]]\nname = "x"\nconfig = { product = "nginx", file = "n.conf" }', "n.conf: No such file"),
    "no TOML": ("hops", "no TOML"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_a_path_that_makes_no_sense_is_one_message(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file or the hop, and the key."""
    path = tmp_path / "path.toml"
    path.write_text(text)
    assert main(["check", str(path)]) == ExitCode.BAD_INPUT
    assert words in capsys.readouterr().err


def test_a_file_that_leads_to_a_model_in_several_places_needs_a_path(tmp_path: Path) -> None:
    """Each may wait for as long as it likes."""
    (tmp_path / "nginx.conf").write_text(
        NGINX.replace("location / {", "location /a/ { proxy_pass http://m; }\nlocation / {")
    )
    config = {"product": "nginx", "file": "nginx.conf"}
    table = PathTable.model_validate({"hops": [{"name": "x", "config": config}]})
    with pytest.raises(BadInput, match="in 2 places"):
        list(hops_of(table, tmp_path, {}))
    table = PathTable.model_validate({"hops": [{"name": "x", "config": config | {"path": "/v1/messages"}}]})
    assert len(list(hops_of(table, tmp_path, {}))) == 1


def test_what_is_no_option_of_a_path_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And so is a product without a file."""
    path = tmp_path / "path.toml"
    path.write_text('[[hops]]\nname = "x"\nprofile = "aws-alb"\n')
    assert main(["check", str(path), "--format", "sarif"]) == ExitCode.BAD_INPUT
    assert "of a path only the waits are options" in capsys.readouterr().err
    assert main(["check", "nginx"]) == ExitCode.BAD_INPUT
    assert "there is no file" in capsys.readouterr().err


def test_options_go_before_what_the_file_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All comes through what is waited for briefly enough."""
    path = tmp_path / "path.toml"
    path.write_text('gap = "5m"\n[[hops]]\nname = "x"\nprofile = "aws-alb"\n')
    waits = ["--gap", "50s", "--first-token", "50s", "--longest", "50s"]
    assert main(["check", str(path), *waits]) == ExitCode.AS_REQUIRED
    assert "silent for 50s" in capsys.readouterr().out


TIER = "proxy_buffering off; proxy_read_timeout {}s;"


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
async def test_what_is_said_of_two_hops_is_what_they_do(tmp_path: Path) -> None:
    """Two tiers of nginx: silences are cut as is said, and with the heartbeats that are named they are not."""
    outer = f"server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:8081; {TIER.format(3)} }} }}\n"
    inner = f"server {{ listen 127.0.0.1:8081; location / {{ proxy_pass http://model:8000; {TIER.format(2)} }} }}\n"
    for name, text in {"outer": outer, "inner": inner, "both": outer + inner}.items():
        (tmp_path / f"{name}.conf").write_text(text)
    named = [{"name": name, "config": {"product": "nginx", "file": f"{name}.conf"}} for name in ("outer", "inner")]
    table = PathTable.model_validate({"first_token": 4, "gap": 4, "longest": 1, "hops": named})
    hops = list(hops_of(table, tmp_path, {}))
    assert fates(hops, 4, 4, 1) == [("cut", "inner"), ("cut", "inner"), THROUGH, THROUGH]
    every = heartbeat_for(hops)
    assert every == 1

    path = tmp_path / "both.conf"
    file = UserFile(path, PROXIES["nginx-1.30"], adapt(path, EntranceWish()))
    (entrance,) = file.adapter.entrances
    late, silent = {"ttft": 4, "tokens": 5}, {"tokens": 10, "interval": 0.05, "gaps": [Gap(6, 4)]}
    beats = {"heartbeat": every, "heartbeat_from": "start"}
    for more, state in (({}, State.NOT_MET), (beats, State.MET)):
        exchanges = [
            Exchange("late", make_plan(late | more), requirements=(Requirement.WAITS_FOR_THE_FIRST_TOKEN,)),
            Exchange("silent", make_plan(silent | more), requirements=(Requirement.SURVIVES_SILENCE,)),
        ]
        found = await observe_copies(file, {Copy(entrance): exchanges}, FromEngine("an engine"), print)
        assert {each.state for each in found[Copy(entrance)].values()} == {state}, more


def test_the_documents_example_says_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both blocks of the page, with the file that it speaks of; and its file has every key."""
    page = DOCS.read_text()
    example = re.search(r"```toml\n(.*?)```\n\n    lab check (path\.toml)\n.*?```text\n(.*?)```", page, re.DOTALL)
    assert example is not None
    text, name, printed = example.groups()
    (tmp_path / "nginx.conf").write_text(NGINX)
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == ExitCode.REQUIREMENT_FAILED
    said = capsys.readouterr().out.splitlines()
    assert [line for line in printed.splitlines() if line not in said] == []
    assert write_duration(read_path(Path(name)).longest) == "600s"
