"""What each line of a file is for, on a product that is written down, and through one version of nginx."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from lab.cli import main
from lab.errors import BadInput, ExitCode
from lab.judge import Observation
from lab.products import PRODUCTS, PROXIES
from lab.products.adapted import EntranceWish
from lab.products.haproxy.adapt import adapt as read_haproxy
from lab.products.nginx.adapt import adapt as read_nginx
from lab.saved import load_saved
from lab.suite.settle import Waits
from lab.verify import rounds
from lab.verify.proofs import summary, table, together, words_of
from lab.verify.prove import FORMAT, FileProof, LineEffect, prove
from lab.verify.rounds import Copy, UserFile
from lab.verify.template import template
from lab.vocabulary import Requirement, State

SILENCE, CUT, ERRORS = Requirement.SURVIVES_SILENCE, Requirement.SHOWS_A_CUT_AS_A_CUT, Requirement.PASSES_ERRORS_ON
TEXT = """\
server {
    listen 80;
    location / {
        proxy_pass http://model;
        gzip off;
        proxy_read_timeout 600s;
    }
}
"""
NOTHING = LineEffect({}, {}, {})


def unmet(copy: Copy) -> set[Requirement]:
    """A product that has no need of its line about gzip, and is cured of what it hides by another."""
    if "return 404;" in copy.settings:
        return {SILENCE, CUT, ERRORS}
    lines = {spot.text for spot in copy.without}
    found = {SILENCE} if "proxy_read_timeout 600s;" in lines else set()
    return found | (set() if "proxy_http_version 1.1;" in copy.settings else {CUT})


async def proven(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    added: Sequence[str] = (),
    text: str = TEXT,
    product: Callable[[Copy], set[Requirement]] = unmet,
) -> FileProof:
    """What is found of that file, where nginx 1.26 and 1.30 are that product; a line about magic is refused."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "nginx.conf"
    path.write_text(text)

    async def observe(_: UserFile, wanted: Mapping[Copy, object], *__: object) -> object:
        return {
            copy: {
                each: Observation(each, State.NOT_MET if each in broken else State.MET, "", "as seen")
                for each in (SILENCE, CUT, ERRORS)
            }
            for copy in wanted
            for broken in [product(copy)]
            if "magic on;" not in copy.settings
        }

    monkeypatch.setattr(rounds, "observe_copies", observe)
    files = [UserFile(path, PROXIES[each], read_nginx(path, EntranceWish())) for each in ("nginx-1.26", "nginx-1.30")]
    return await prove(files, Waits(), cast(Any, None), lambda _: None, added=added)


async def test_each_line_says_what_breaks_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At each version, with file and line; what says where to listen and whom to ask stays."""
    proof = await proven(monkeypatch, tmp_path)
    assert proof.unmet == {"1.26": {CUT: "as seen"}, "1.30": {CUT: "as seen"}}
    gzip, timeout = proof.lines
    assert (gzip.line, gzip.file, gzip.number) == ("gzip off;", "nginx.conf", 5)
    assert gzip.effects == {"1.26": NOTHING, "1.30": NOTHING}
    assert timeout.effects["1.26"] == LineEffect({SILENCE: "as seen"}, {}, {})


async def test_a_line_that_is_added_says_what_it_mends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each by itself, and one that the product refuses too."""
    proof = await proven(
        monkeypatch, tmp_path, ("proxy_http_version 1.1;", "tcp_nodelay on;", "magic on;", "return 404;")
    )
    assert [set(each.effects["1.30"].mended) for each in proof.lines] == [{CUT}, set(), set(), set()]
    words = [words_of(each.effects["1.30"]) for each in proof.lines]
    assert words[1:] == ["nothing", "does not start", "nothing comes through"]


async def test_what_is_seen_once_only_is_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line that did nothing but come at a bad moment; one that breaks something does so again."""
    asked: Counter[Copy] = Counter()

    def now_and_then(copy: Copy) -> set[Requirement]:
        asked[copy] += 1
        unlucky = {ERRORS} if copy.without and asked[copy] % 2 else set()
        return unmet(copy) | unlucky

    proof = await proven(monkeypatch, tmp_path, product=now_and_then)
    assert [set(each.effects["1.30"].broken) for each in proof.lines] == [set(), {SILENCE}]


async def test_what_the_file_itself_fails_once_only_is_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No line mends it, and one that breaks it by itself still does."""
    asked: Counter[Copy] = Counter()

    def now_and_then(copy: Copy) -> set[Requirement]:
        asked[copy] += 1
        return unmet(copy) | ({SILENCE} if copy.plain and asked[copy] == 1 else set())

    proof = await proven(monkeypatch, tmp_path, product=now_and_then)
    assert [set(each) for each in proof.unmet.values()] == [{CUT}, {CUT}]
    gzip, timeout = proof.lines
    assert gzip.effects["1.26"] == NOTHING
    assert set(timeout.effects["1.26"].broken) == {SILENCE}


async def test_the_table_has_a_row_a_line_and_a_column_a_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In Markdown, made of the saved result."""
    assert table(await proven(monkeypatch, tmp_path)) == (
        "| left out | nginx 1.26 | nginx 1.30 |\n"
        "| --- | --- | --- |\n"
        "| `gzip off;` | nothing | nothing |\n"
        "| `proxy_read_timeout 600s;` | `survives-silence` | `survives-silence` |\n"
    )


async def test_a_file_of_too_many_lines_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each is a run of the whole suite."""
    long = TEXT.replace("gzip off;", "gzip off;\n" + "add_header X y;\n" * 200)
    with pytest.raises(BadInput, match="has 202 lines; 150 can be tried"):
        await proven(monkeypatch, tmp_path, text=long)


def test_versions_that_agree_are_named_together() -> None:
    """As the heads of the snippets have it; what is not told is no nothing."""
    some = LineEffect({CUT: ""}, {}, {})
    assert summary({"1": some, "2": NOTHING, "3": some}) == "1 and 3: shows-a-cut-as-a-cut; 2: nothing"
    assert summary({"1": LineEffect({}, {}, {CUT: ""})}) == "1: cannot tell: shows-a-cut-as-a-cut"


def test_of_several_configurations_a_line_is_for_all_that_breaks_in_any() -> None:
    """In the order of the reports."""
    found = together([{"1": LineEffect({CUT: ""}, {}, {})}, {"1": LineEffect({SILENCE: ""}, {}, {})}])
    assert words_of(found["1"]) == "`survives-silence`, `shows-a-cut-as-a-cut`"


def test_a_line_is_left_out_of_the_copy_and_nothing_else(tmp_path: Path) -> None:
    """Of nginx a directive, wherever it is included from; of HAProxy a line; of others too, but no braces."""
    (tmp_path / "own.conf").write_text("gzip off;\nproxy_set_header\n    A\n    b;\n")
    path = tmp_path / "nginx.conf"
    path.write_text("server { listen 80; location / { proxy_pass http://m; include own.conf; } }")
    nginx = read_nginx(path, EntranceWish())
    entrance, (gzip, header) = nginx.entrances[0], nginx.lines(nginx.entrances[0])
    assert (gzip.file, header.line) == (tmp_path / "own.conf", 2)
    assert "gzip" not in nginx.copy(entrance, (), (gzip,))
    assert "proxy_set_header" not in nginx.copy(entrance, (), (header,))
    assert "gzip off;" in nginx.copy(entrance, (), (header,))

    haproxy = read_haproxy(PRODUCTS["haproxy"].recommended, EntranceWish())
    entrance = haproxy.entrances[0]
    lines = haproxy.lines(entrance)
    assert {"option http-no-delay", "timeout server 10m"} <= {each.text for each in lines}
    assert not any("${" in each.text for each in lines)
    (delay,) = [each for each in lines if each.text == "option http-no-delay"]
    assert _left(haproxy.copy(entrance), haproxy.copy(entrance, (), (delay,))) == ["    option http-no-delay"]

    caddy = template(PRODUCTS["caddy"].recommended, EntranceWish())
    lines = caddy.lines(caddy.entrances[0])
    assert not any(each.text.endswith(("{", "}")) for each in lines)
    for each in lines:
        (left,) = _left(caddy.copy(caddy.entrances[0]), caddy.copy(caddy.entrances[0], (), (each,)))
        assert left.strip() == each.text


def _left(before: str, after: str) -> list[str]:
    """The lines of a text that another lacks, which has no others."""
    rest = iter(after.splitlines())
    now = next(rest, None)
    left = []
    for line in before.splitlines():
        if line == now:
            now = next(rest, None)
        else:
            left.append(line)
    assert now is None
    return left


def test_a_snippet_of_the_labs_own_is_found_where_files_include_it(tmp_path: Path) -> None:
    """It is listed, since nobody put it there; the user's own of that name goes first."""
    path = tmp_path / "nginx.conf"
    path.write_text("location / { proxy_pass http://m; include /etc/nginx/snippets/streaming.conf; }")
    nginx = read_nginx(path, EntranceWish())
    assert "proxy_buffering off;" in nginx.copy(nginx.entrances[0])
    assert any("the lab's own snippet" in str(each) for each in nginx.replacements(nginx.entrances[0]))
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets" / "streaming.conf").write_text("gzip off;")
    nginx = read_nginx(path, EntranceWish())
    assert [each.text for each in nginx.lines(nginx.entrances[0])] == ["gzip off;"]


def test_names_of_a_template_stand_apart_from_what_follows(tmp_path: Path) -> None:
    """`listen ${PORT} ssl` speaks TLS."""
    path = tmp_path / "nginx.conf"
    path.write_text("server { listen ${PORT} ssl http2; location / { proxy_pass http://m; } }")
    (entrance,) = read_nginx(path, EntranceWish()).entrances
    assert (entrance.secure, entrance.http_2) == (True, True)


@pytest.mark.usefixtures("own_signals")
def test_no_line_is_added_to_a_file_that_is_run_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message, before anything is started."""
    path = tmp_path / "httpd.conf"
    path.write_text("port: ${PORT}\n")
    assert main(["prove", "gunicorn", str(path), "--add", "x: y"]) == ExitCode.BAD_INPUT
    assert "no line can be added" in capsys.readouterr().err


@pytest.mark.usefixtures("own_signals")
def test_a_file_without_a_line_that_can_go_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that this one has leads to the model; it is not said that nginx's files cannot be read."""
    path = tmp_path / "nginx.conf"
    path.write_text("server {\n    listen 80;\n    location / {\n        proxy_pass http://model;\n    }\n}\n")
    file = UserFile(path, PROXIES["nginx-1.30"], read_nginx(path, EntranceWish()))
    monkeypatch.setattr("lab.cli.prove.user_files", lambda *_: (None, [file]))
    assert main(["prove", "nginx", str(path)]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    assert "it has no line that can be left out by itself" in told
    assert "--add" in told


@pytest.mark.engine
@pytest.mark.usefixtures("own_signals", "images_in_use")
def test_the_command_tells_what_a_line_of_a_real_file_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed and saved: nginx 1.30 ends a silence after 2 s without the line, and has no need of the other."""
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT.replace("server {", "proxy_read_timeout 2s;\ngzip off;\nserver {"))
    saved = tmp_path / "proof.json"
    assert main(["prove", "nginx", str(path), "--version", "1.30", "--save", str(saved)]) == ExitCode.AS_REQUIRED
    (proof,) = load_saved(saved, FORMAT).files
    found = {each.number: set(each.effects["1.30"].broken) for each in proof.lines if each.file == str(path)}
    waits = {Requirement.WAITS_FOR_THE_FIRST_TOKEN, SILENCE, Requirement.WAITS_FOR_BATCH_REPLIES}
    assert found == {1: set(), 2: set(), 7: set(), 8: waits}
    assert "without proxy_read_timeout 600s;" in capsys.readouterr().out
