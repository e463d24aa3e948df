"""What the text of an nginx file tells: each rule with a file that it is about, and one that it has nothing against."""

from __future__ import annotations

import cProfile
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.catalogue import discover, shipped_scenarios
from lab.cli import main
from lab.errors import ExitCode
from lab.products.adapted import EntranceWish, Needs, Remark
from lab.products.nginx.check import check
from lab.shipped import shipped
from lab.vocabulary import Requirement

SECONDS = Needs(10.0, 10.0, 10.0)
FINE = "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s;"
UNVERSIONED, UNTIMED = FINE.replace("proxy_http_version 1.1; ", ""), FINE.replace("proxy_read_timeout 600s;", "")
AGAIN = f"{FINE} proxy_next_upstream error timeout non_idempotent;"
PAGES = f"{FINE} proxy_intercept_errors on; error_page 500 503 /x.html;"


def remarks(
    tmp_path: Path, location: str, http: str = "", version: str = "1.30", needs: Needs = SECONDS
) -> list[Remark]:
    """What is said of a file with these lines in its location, and these in `http`."""
    path = tmp_path / "nginx.conf"
    path.write_text(
        f"events {{}}\nhttp {{ {http}\n server {{ listen 80;\n location / {{ proxy_pass http://m; {location} }} }} }}\n"
    )
    return list(check(path, EntranceWish(), version, needs))


BROKEN: dict[str, tuple[str, str, Requirement]] = {
    "buffering by default": ("proxy_read_timeout 600s;", "", Requirement.DELIVERS_TOKENS_AS_THEY_COME),
    "HTTP/1.0": (f"{UNVERSIONED} proxy_http_version 1.0;", "", Requirement.SHOWS_A_CUT_AS_A_CUT),
    "a short timeout": (FINE.replace("600s", "5s"), "", Requirement.SURVIVES_SILENCE),
    "a timeout in another unit": (FINE.replace("600s", "9500ms"), "", Requirement.WAITS_FOR_THE_FIRST_TOKEN),
    "a timeout from above": (UNTIMED, "proxy_read_timeout 5;", Requirement.SURVIVES_SILENCE),
    "no heed of clients": (f"{FINE} proxy_ignore_client_abort on;", "", Requirement.STOPS_WHEN_THE_CLIENT_LEAVES),
    "errors replaced": (PAGES, "", Requirement.PASSES_ERRORS_ON),
    "sent again": (AGAIN, "upstream m { server a; server b; }", Requirement.GENERATES_ONCE),
    "sent again on another connection": (AGAIN, "upstream m { server a; }", Requirement.GENERATES_ONCE),
    "cached": (f"{FINE} proxy_cache c; proxy_cache_methods POST;", "", Requirement.STOPS_WHEN_THE_CLIENT_LEAVES),
    "no chunks": (f"{FINE} chunked_transfer_encoding off;", "", Requirement.SHOWS_A_CUT_AS_A_CUT),
    "small bodies": (f"{FINE} client_max_body_size 100k;", "", Requirement.DELIVERS_TOKENS_AS_THEY_COME),
}


@pytest.mark.parametrize(("location", "http", "requirement"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_a_stream_is_named(tmp_path: Path, location: str, http: str, requirement: Requirement) -> None:
    """With the requirement, and with the line where one stands."""
    found = remarks(tmp_path, location, http)
    assert requirement in {each.requirement for each in found}
    assert all(each.spot is None or each.spot.line in (2, 4) for each in found)


FINE_ONES = {
    "as recommended": (FINE, "", "1.26"),
    "errors replaced, but none of the model's": (f"{FINE} proxy_intercept_errors on; error_page 404 /x;", "", "1.30"),
    "gzip of other types": (FINE, "gzip on; gzip_types text/css;", "1.30"),
    "gzip with buffering off, which flushes": (FINE, "gzip on; gzip_types text/event-stream;", "1.30"),
    "HTTP/1.1 by default": (UNVERSIONED, "", "1.30"),
    "a body of any size": (f"{FINE} client_max_body_size 0;", "", "1.30"),
    "tried again, but no POST": (f"{FINE} proxy_next_upstream error timeout;", "", "1.30"),
    "no other server to try, nor a connection that is kept": (AGAIN, "upstream m { server a; }", "1.26"),
    "an address, which is tried once": (AGAIN, "upstream other { server a; server b; }", "1.30"),
    "pages of a level that has its own below": (
        f"{FINE} proxy_intercept_errors on; error_page 404 /x;",
        "error_page 503 /y;",
        "1.30",
    ),
    "a cache, but not of POSTs": (f"{FINE} proxy_cache c;", "", "1.30"),
    "the nearer value counts": (FINE, "proxy_buffering on; proxy_read_timeout 1s;", "1.30"),
}


@pytest.mark.parametrize(("location", "http", "version"), FINE_ONES.values(), ids=FINE_ONES)
def test_what_breaks_nothing_is_not_named(tmp_path: Path, location: str, http: str, version: str) -> None:
    """No false alarm: each of these meets everything when it runs."""
    assert remarks(tmp_path, location, http, version) == []


def test_what_is_included_and_is_not_here_may_say_otherwise(tmp_path: Path) -> None:
    """The default is named with that doubt; what nginx brings along for others raises none."""
    (doubted, *_) = remarks(tmp_path, "include snippets/proxy.conf; proxy_read_timeout 600s;", "include mime.types;")
    assert doubted.why.endswith("unless snippets/proxy.conf says otherwise, which is not here")
    (told, *_) = remarks(tmp_path, "include fastcgi_params; proxy_read_timeout 600s;", "include mime.types;")
    assert "unless" not in told.why


def test_the_version_decides_about_the_default(tmp_path: Path) -> None:
    """1.29.7 asks with HTTP/1.1 by itself, and what came before does not."""
    said = {
        version: remarks(tmp_path, UNVERSIONED, version=version) for version in ("1.26", "1.29.6", "1.29.7", "1.30")
    }
    assert {version: len(found) for version, found in said.items()} == {"1.26": 1, "1.29.6": 1, "1.29.7": 0, "1.30": 0}


@pytest.mark.parametrize("version", ["1.26", "1.30"])
def test_over_tls_a_buffer_holds_more(tmp_path: Path, version: str) -> None:
    """No piece goes out before a record is full, which `tls-record` shows: heartbeats and the first token wait too."""
    path = tmp_path / "nginx.conf"
    lines = "proxy_http_version 1.1; proxy_read_timeout 600s;"
    path.write_text(f"server {{ listen 443 ssl; location / {{ proxy_pass http://m; {lines} }} }}")
    found = {each.requirement: each.fix for each in check(path, EntranceWish(), version, SECONDS)}
    assert found[Requirement.PASSES_HEARTBEATS_ON] == "proxy_buffering off;"
    assert found[Requirement.MOVES_THE_FIRST_TOKEN_FORWARD] == "proxy_buffering off;"
    path.write_text(path.read_text().replace("443 ssl", "80"))
    assert Requirement.PASSES_HEARTBEATS_ON not in {
        each.requirement for each in check(path, EntranceWish(), version, SECONDS)
    }


def test_the_buffer_is_named_where_compression_holds_and_compression_is_not(tmp_path: Path) -> None:
    """With buffering off gzip flushes, and with gzip off what is large or has no frames is held all the same."""
    found = remarks(tmp_path, "proxy_read_timeout 600s;", "gzip on; gzip_types *;")
    assert {each.fix for each in found} == {"proxy_buffering off;"}


def test_every_rule_stands_on_a_scenario(tmp_path: Path) -> None:
    """The one that it names, and `lab show` tells."""
    known = {scenario.id for scenario in discover(shipped_scenarios())}
    named = {
        each.scenario for location, http, _ in BROKEN.values() for each in remarks(tmp_path, location, http, "1.26")
    }
    assert named <= known
    assert len(named) >= 6


def test_the_shipped_snippet_has_nothing_against_it(tmp_path: Path) -> None:
    """Included where its users include it, behind either version."""
    lines = (shipped("nginx") / "streaming.conf").read_text()
    path = tmp_path / "nginx.conf"
    path.write_text(f"server {{ listen 80; location / {{ proxy_pass http://m;\n{lines}\n}} }}")
    for version in ("1.26", "1.30"):
        assert list(check(path, EntranceWish(), version, Needs(60.0, 60.0, 60.0))) == []


@pytest.mark.usefixtures("own_signals")
def test_the_command_says_file_line_and_line_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; with the tested lines in it 0."""
    path = tmp_path / "nginx.conf"
    text = """\
server {
  listen 80;
  location / {
    proxy_pass http://m;
    proxy_buffering on;
    proxy_read_timeout 600s;
  }
}
"""
    path.write_text(text)
    assert main(["check", "nginx", str(path)]) == ExitCode.REQUIREMENT_FAILED
    said = " ".join(capsys.readouterr().out.split())
    assert "nginx.conf:5: proxy_buffering on;" in said
    assert "mended by `proxy_buffering off;`" in said
    path.write_text(text.replace("proxy_buffering on;", "proxy_buffering off;"))
    assert main(["check", "nginx", str(path)]) == ExitCode.AS_REQUIRED
    assert main(["check", "envoy", str(path)]) == ExitCode.BAD_INPUT


def servers(many: int) -> str:
    """A configuration of many servers with one location each: eight lines a server."""
    return "".join(
        f"server {{\n listen 80;\n server_name s{number}.example.com;\n location /v1/ {{\n  proxy_pass http://m{number};\n"
        f"  {FINE}\n }}\n}}\n"
        for number in range(many)
    )


def locations(many: int) -> str:
    """One server with many locations: four lines a location."""
    one = "".join(
        f" location /a{number}/ {{\n  proxy_pass http://m{number};\n  {FINE}\n }}\n" for number in range(many)
    )
    return f"server {{\n listen 80;\n{one}}}\n"


@pytest.mark.parametrize("text", [servers(130), locations(250)], ids=["servers", "locations"])
def test_a_thousand_lines_take_less_than_a_second(text: str, tmp_path: Path) -> None:
    """Processor time, which a busy machine does not lengthen much."""
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    assert len(text.splitlines()) > 1000
    began = time.process_time()
    assert list(check(path, EntranceWish(), "1.30", SECONDS)) == []
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("shape", [servers, locations])
def test_twice_as_many_lines_are_about_twice_the_work(shape: Callable[[int], str], tmp_path: Path) -> None:
    """Calls of functions are counted, which no clock has a part in."""

    def calls(many: int) -> int:
        path = tmp_path / "nginx.conf"
        path.write_text(shape(many))
        profile = cProfile.Profile()
        with profile:
            assert list(check(path, EntranceWish(), "1.30", SECONDS)) == []
        return sum(entry.callcount for entry in profile.getstats())

    # What is done once for any file, such as compiling patterns, is not to count.
    calls(1)
    assert calls(80) < 2.4 * calls(40)


def test_the_command_imports_nothing_that_asks_or_runs(tmp_path: Path) -> None:
    """Most of its second would go by before it has read a line."""
    path = tmp_path / "nginx.conf"
    path.write_text(locations(1))
    code = (
        "import sys; from lab.cli import main\n"
        f"code = main(['check', 'nginx', {str(path)!r}, '--format', 'sarif'])\n"
        "print(sorted({'aiohttp', 'docker', 'testcontainers', 'jinja2'} & set(sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
