"""What a user may hand to `lab check`, `verify`, `fix` and `migrate` by mistake: one clear message each.

Nothing is started for it, and no file of the user's is touched.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import docker
import pytest
from processes import LAB, left_by, messages

from lab.cli import main
from lab.errors import ExitCode

SERVER = """\
server {
    listen 80;
    server_name chat.example.com;
    location /static/ { root /srv; }
    location /v1/ {
        proxy_pass http://model:8000;
        proxy_buffering off;
    }
}
"""
HAPROXY = "defaults\n  mode http\nfrontend web\n  bind :80\n  default_backend model\nbackend model\n  server m m:8000\n"
MEGABYTES = "# " + "x" * 5 * 2**20

NGINX_FILES: dict[str, tuple[str | bytes, str]] = {
    "a brace is missing": (SERVER.rstrip("}\n"), 'nginx.conf:7: unexpected end of file, expecting "}"'),
    "a brace too many": (SERVER + "}", 'nginx.conf:10: unexpected "}"'),
    "a semicolon is missing": (
        SERVER.replace("com;", "com"),
        'nginx.conf:3: directive "server_name" is not terminated',
    ),
    "a quote is not closed": (SERVER.replace("off;", '"off;'), "nginx.conf:7: unexpected end of file"),
    "binary": (b"\x7fELF\xff\xfe" * 99, "nginx.conf is no text: there are control characters in it"),
    "a semicolon is missing at the end of a block": (SERVER.replace("off;", "off"), 'nginx.conf:8: unexpected "}"'),
    "a semicolon is missing before another directive": (
        SERVER.replace("8000;", "8000"),
        "nginx.conf:6: invalid number",
    ),
    "a proxy_pass in no location": ("server {\n  proxy_pass http://m;\n}\n", "passes nothing on: it has no proxy_pass"),
    "binary in ASCII": (SERVER + "\0\1\2", "nginx.conf is no text: there are bytes in it that are 0"),
    "a byte order mark": ("\ufeff" + SERVER, "nginx.conf:1: begins with a byte order mark"),
    "five megabytes": (SERVER + MEGABYTES, "nginx.conf: longer than 2,097,152 bytes"),
    "an include of itself": ("include nginx.conf;\n" + SERVER, "nginx.conf:1: include nginx.conf; leads back"),
    "a file of HAProxy's": (HAPROXY, "nginx.conf is no configuration of nginx's"),
    "a file of Envoy's": ("static_resources:\n  listeners: []\n", "nginx.conf is no configuration of nginx's"),
    "a file of Caddy's": (":80 {\n  reverse_proxy m:8000\n}\n", "has no `server` of nginx's"),
    "empty": ("", "has no `server` of nginx's"),
    "no server": ("events {}\nhttp {}\n", "has no `server` of nginx's"),
    "QUIC only": (SERVER.replace("80;", "443 quic;"), "nginx.conf:1: server { listens over QUIC only"),
    "only static files": ("server { location / { root /srv; } }", "passes nothing on: it has no proxy_pass"),
}
"""A file, and what is said of it."""

HAPROXY_FILES: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"\x7fELF\xff\xfe" * 99, "haproxy.cfg is no text in UTF-8"),
    "binary in ASCII": (HAPROXY + "\0\1\2", "haproxy.cfg is no text: there are bytes in it that are 0"),
    "five megabytes": (HAPROXY + MEGABYTES, "haproxy.cfg: longer than 4,194,304 bytes"),
    "a quote is not closed": (HAPROXY.replace("m:8000", '"m:8000'), "haproxy.cfg:7: a quote is not closed"),
    "a file of nginx's": (SERVER, "haproxy.cfg:1: server {: stands in no section"),
    "empty": ("", "has no frontend, listen or backend"),
    "listens on nothing": (HAPROXY.replace("  bind :80\n", ""), "haproxy.cfg:3: frontend web has no `bind`"),
    "leads to nobody": (HAPROXY.replace("default_backend model", ""), "leads to no server; it ends at"),
}

OPTIONS: dict[str, tuple[list[str], str]] = {
    "a path of static files": (["--path", "/static/x"], "nginx.conf:4: location /static/ {, which passes nothing on"),
    "a path of nobody's": (["--path", "/nowhere"], "--path /nowhere: no location of"),
    "a path without a slash": (["--path", "v1"], "--path v1: it begins with no slash"),
    "a host of no server's": (["--host", "other.example.com"], "--host other.example.com: no server of"),
    "an upstream of nobody's": (["--upstream", "nobody"], "passes nothing on to that"),
    "no duration": (["--gap", "soon"], "--gap: 'soon' is no duration"),
    "a version that is none": (["--version", "abc"], "abc"),
}

pytestmark = pytest.mark.usefixtures("own_signals")


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path) -> str:
    """The one message with which a command refused its input, having touched nothing in a folder."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main([str(each) for each in arguments]) == ExitCode.BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    (message,) = messages(told.err)
    assert len(told.err.splitlines()) > 1, "there is no remedy"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return message


def calls(product: str, path: Path) -> list[list[str | Path]]:
    """Every command that takes such a file."""
    given = [["verify", product, path], ["fix", product, path, "--write"]]
    return [*given, ["migrate", f"{product}:{path}", f"{product}:{path}"]]


@pytest.mark.parametrize(("text", "words"), NGINX_FILES.values(), ids=NGINX_FILES)
def test_a_bad_file_of_nginx_is_one_message(
    text: str | bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same from every command, with the file and where possible the line, in a folder with a space."""
    path = tmp_path / "my files" / "nginx.conf"
    path.parent.mkdir()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for call in [["check", "nginx", path], *calls("nginx", path)]:
        assert words in refused(capsys, tmp_path, *call)


@pytest.mark.parametrize(("text", "words"), HAPROXY_FILES.values(), ids=HAPROXY_FILES)
def test_a_bad_file_of_haproxy_is_one_message(
    text: str | bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same from every command that takes one."""
    path = tmp_path / "haproxy.cfg"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for call in calls("haproxy", path):
        assert words in refused(capsys, tmp_path, *call)


@pytest.mark.parametrize(("options", "words"), OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("command", ["check", "verify", "fix"])
def test_an_option_that_does_not_fit_the_file_is_one_message(
    command: str, options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the option, and what the file has instead."""
    path = tmp_path / "nginx.conf"
    path.write_text(SERVER)
    assert words in refused(capsys, tmp_path, command, "nginx", path, *options)


@pytest.mark.parametrize("value", ["maybe", "off off", ""])
def test_a_value_that_nginx_refuses_is_told_in_its_words(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a directive that a rule reads; a rule that took it for something would be wrong."""
    path = tmp_path / "nginx.conf"
    path.write_text(SERVER.replace("buffering off", f"buffering {value}"))
    message = refused(capsys, tmp_path, "check", "nginx", path)
    assert "nginx.conf:7: invalid " in message
    assert '"proxy_buffering" directive' in message


@pytest.mark.parametrize("line", ["proxy_read_timeout 600parsecs;", "client_max_body_size huge;"])
def test_a_time_or_size_that_is_none_is_told(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As nginx says it, when it refuses the file."""
    path = tmp_path / "nginx.conf"
    path.write_text(SERVER.replace("proxy_buffering off;", line))
    name = line.partition(" ")[0]
    assert f'nginx.conf:7: "{name}" directive invalid value' in refused(capsys, tmp_path, "check", "nginx", path)


def test_a_file_that_is_none_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe that nobody writes to is not waited for; a folder says what it has."""
    pipe, folder = tmp_path / "pipe", tmp_path / "conf.d"
    os.mkfifo(pipe)
    folder.mkdir()
    (folder / "chat.conf").write_text(SERVER)
    assert "pipe: not a regular file" in refused(capsys, folder, "verify", "nginx", pipe)
    assert "there is no nginx.conf in that folder" in refused(capsys, folder, "verify", "nginx", folder)
    assert "there is no such file" in refused(capsys, folder, "verify", "nginx", folder / "nobody.conf")
    assert "not read as they are yet" in refused(capsys, folder, "verify", "gunicorn", folder / "chat.conf")


def test_files_that_multiply_are_not_read_for_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each includes the next one twice: a million in all, and none of them itself."""
    for number in range(20):
        (tmp_path / f"{number}.conf").write_text(2 * f"include {number + 1}.conf;\n")
    (tmp_path / "20.conf").write_text(SERVER)
    message = refused(capsys, tmp_path, "check", "nginx", tmp_path / "0.conf")
    assert "more than 2,000 files are included" in message
    for number in range(15):
        (tmp_path / f"{number}.conf").write_text(2 * f"Include {number + 1}.conf\n")
    message = refused(capsys, tmp_path, "verify", "apache", tmp_path / "0.conf")
    assert "more than 2,000 files are included" in message


def test_an_unknown_product_is_answered_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before its file is looked for."""
    assert "There is no squid" in refused(capsys, tmp_path, "verify", "squid", tmp_path / "squid.conf")


def test_two_files_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is named, with how the command is used."""
    for name in ("a.conf", "b.conf"):
        (tmp_path / name).write_text(SERVER)
    for command in ("check", "verify", "fix"):
        assert main([command, "nginx", str(tmp_path / "a.conf"), str(tmp_path / "b.conf")]) == ExitCode.BAD_INPUT
        told = capsys.readouterr().err
        assert "unexpected extra argument" in told
        assert "b.conf" in told


def test_a_wait_beyond_an_hour_is_refused_only_where_it_would_be_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lab check` waits for nothing."""
    path = tmp_path / "nginx.conf"
    path.write_text(SERVER)
    assert "more than an hour" in refused(capsys, tmp_path, "verify", "nginx", path, "--longest", "61m")
    assert main(["check", "nginx", str(path), "--gap", "2h"]) == ExitCode.REQUIREMENT_FAILED
    assert "7200 s are wanted" in capsys.readouterr().out


def test_a_newer_nginx_than_the_parser_knows_is_not_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`keepalive 32 local` is of 1.29.7; what nginx takes, nginx says."""
    path = tmp_path / "nginx.conf"
    path.write_text(f"events {{}}\nhttp {{\nupstream model {{ server m:8000; keepalive 32 local; }}\n{SERVER} }}\n")
    assert main(["check", "nginx", str(path), "--gap", "5s", "--first-token", "5s", "--longest", "5s"]) == 0
    assert "Nothing in it is known" in capsys.readouterr().out


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
@pytest.mark.parametrize(
    ("product", "name", "text", "words"),
    [
        ("nginx", "nginx.conf", SERVER.replace("off;", "maybe;"), 'invalid value "maybe" in "proxy_buffering"'),
        ("haproxy", "haproxy.cfg", HAPROXY.replace("mode http", "mode http\n  timout server 5s"), "'timout'"),
    ],
)
def test_what_only_the_product_refuses_is_told_in_its_words(
    product: str, name: str, text: str, words: str, tmp_path: Path, engine: docker.DockerClient
) -> None:
    """With the user's own file and line, and nothing is left running."""
    path = tmp_path / name
    path.write_text(text)
    for command in (["verify"], ["fix", "--write"]):
        process = subprocess.Popen([LAB, *command, product, path], stderr=subprocess.PIPE, text=True)
        _, told = process.communicate(timeout=300)
        assert process.returncode == ExitCode.BAD_INPUT, told
        assert words in told
        assert f"{path}:" in told
        assert left_by(engine, process.pid) == []
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]
