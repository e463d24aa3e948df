"""What the copy of a user's nginx file has otherwise, and what it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.products.adapted import EntranceWish
from lab.products.nginx.adapt import adapt


def copied(tmp_path: Path, text: str, number: int = 0) -> tuple[list[str], str]:
    """The lines of the copy for one entrance, and all that is told of it."""
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    adapter = adapt(path, EntranceWish())
    entrance = adapter.entrances[number]
    told = "\n".join(map(str, adapter.replacements(entrance)))
    return [line.strip() for line in adapter.copy(entrance).splitlines()], told


def http(text: str) -> str:
    """A whole file."""
    return f"events {{}}\nhttp {{\n{text}\n}}"


@pytest.mark.parametrize(
    ("passing", "copy"),
    [
        ("$proto://$host:$port", "http://${MODEL}"),
        ("$proto://$host:$port$request_uri", "http://$token_stream_lab_model$request_uri"),
        ("${proto}://$host/v1/$1", "http://$token_stream_lab_model/v1/$1"),
        # In a location of a pattern nginx takes a path without a variable nowhere.
        ("$proto://$host:$port/", "http://$token_stream_lab_model/"),
    ],
)
def test_a_scheme_may_be_a_variable(tmp_path: Path, passing: str, copy: str) -> None:
    """What stands behind it is a host, not a path."""
    lines, _ = copied(tmp_path, http(f"server {{ location / {{ proxy_pass {passing}; }} }}"))
    assert f"proxy_pass {copy};" in lines


def test_other_protocols_keep_their_names(tmp_path: Path) -> None:
    """Nginx takes no `http://` behind `grpc_pass`; what a variable names it looks up only when it is asked."""
    text = """
server {
    location /a { grpc_pass grpc://triton:8001; }
    location /b { grpc_pass grpcs://triton:8001; }
    location /c { grpc_pass $there; }
    location /d { fastcgi_pass unix:/run/php.sock; }
    location /e { uwsgi_pass uwsgi://app:9; }
    location / { proxy_pass http://m; } }"""
    lines, _ = copied(tmp_path, http(text))
    for line in (
        "grpc_pass grpc://${MODEL};", "grpc_pass grpcs://${MODEL};", "grpc_pass $there;", "fastcgi_pass ${MODEL};",
        "uwsgi_pass uwsgi://${MODEL};",
    ):  # fmt: skip
        assert line in lines


def test_tiers_that_speak_tls_with_each_other_do_so_here(tmp_path: Path) -> None:
    """By address and through a group; only the model server speaks none."""
    text = """
upstream inner { server 127.0.0.1:8443; }
upstream outer { server 10.0.0.5:443; }
server { listen 80;
    location /a/ { proxy_pass https://inner; }
    location /b/ { proxy_pass https://127.0.0.1:8443/; }
    location /c/ { proxy_pass https://outer; } }
server { listen 127.0.0.1:8443 ssl; location / { proxy_pass http://m; } }"""
    lines, _ = copied(tmp_path, http(text))
    assert "proxy_pass https://inner;" in lines
    assert "proxy_pass https://unix:/tmp/token-stream-lab-${PORT}-0.sock:/;" in lines
    assert "proxy_pass http://outer;" in lines


def test_what_a_map_looks_up_is_no_directive(tmp_path: Path) -> None:
    """Whatever it is called, it stays."""
    text = """
map $a $b { user 1; allow 2; stream 3; server 4; proxy_pass 5; return 444; listen 6; }
geo $c { default 0; }
server { location / { proxy_pass http://m; allow all; } }"""
    lines, told = copied(tmp_path, http(text))
    assert {"user 1;", "allow 2;", "stream 3;", "server 4;", "proxy_pass 5;", "return 444;", "listen 6;"} <= set(lines)
    assert "allow all;" not in lines
    assert "allow all; -> left out" in told


def test_a_variable_that_chooses_among_the_files_own_groups_stays(tmp_path: Path) -> None:
    """So that what a group says of its servers, and how many it has, still counts."""
    text = """
split_clients $request_id $pool { 50% blue; * green; }
upstream blue { server b1; server b2 backup; }
upstream green { server g1; }
server { location / { proxy_pass http://$pool; } }"""
    lines, _ = copied(tmp_path, http(text))
    assert "proxy_pass http://$pool;" in lines
    elsewhere = text.replace("* green", "* elsewhere:80")
    lines, _ = copied(tmp_path, http(elsewhere))
    assert "proxy_pass http://${MODEL};" in lines


@pytest.mark.parametrize(
    "line", ["worker_processes 32;", "worker_rlimit_nofile 100000;", "events { worker_connections 500000; }"]
)
def test_how_much_memory_workers_may_take_is_left_out(tmp_path: Path, line: str) -> None:
    """A worker allots 500,000 connections at its start, and each of many copies has as many workers."""
    text = "http { server { location / { proxy_pass http://m; } } }"
    lines, told = copied(tmp_path, f"{line}\n{text}")
    name = line.removeprefix("events { ").split()[0]
    assert not [each for each in lines if name in each]
    assert name in told


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("proxy_bind $remote_addr transparent;", "left out"),
        ("proxy_bind 10.1.2.3;", "left out"),
        ("ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;", "left out"),
        ("proxy_http_version 2;", "proxy_http_version 1.1;"),
        ("include /etc/nginx/proxy.inc;", "left out (no such file is here)"),
    ],
)
def test_what_cannot_work_here_is_otherwise_and_listed(tmp_path: Path, line: str, words: str) -> None:
    """Addresses of the user's machine, ciphers for another key, HTTP/2 to the model, files that are not here."""
    lines, told = copied(tmp_path, http(f"server {{ location / {{ {line} proxy_pass http://m; }} }}"))
    assert line not in lines
    assert f"{line} -> {words}" in told


def test_how_many_may_be_asked_at_once_is_left_out(tmp_path: Path) -> None:
    """The suite asks many things at once: they would find no server left."""
    lines, _ = copied(
        tmp_path, http("upstream m { server a max_conns=2 weight=3; } server { location / { proxy_pass http://m; } }")
    )
    assert "server ${MODEL} weight=3;" in lines


def test_servers_that_the_suite_makes_fail_are_asked_on(tmp_path: Path) -> None:
    """After one failure nginx leaves a server alone for ten seconds, unless it is the only one: none would be left."""
    text = (
        "upstream m { server a max_fails=3 fail_timeout=3s weight=2; server b; } upstream n { server c max_fails=3; }"
    )
    lines, told = copied(tmp_path, http(f"{text} server {{ location / {{ proxy_pass http://m; }} }}"))
    for line in (
        "server ${MODEL} weight=2 max_fails=0;",
        "server ${MODEL} max_fails=0;",
        "server ${MODEL} max_fails=3;",
    ):
        assert line in lines
    assert "server b; -> server ${MODEL} max_fails=0; (in the place of the model, which the suite makes fail)" in told


MIRRORED = """
server {
    location / { mirror /copy; proxy_pass http://m; }
    location = /copy { internal; proxy_pass http://OTHER$request_uri; } }"""


def test_copies_of_requests_go_nowhere_unless_the_model_gets_them(tmp_path: Path) -> None:
    """The model of the file generates once; where it is asked by both, it generates twice."""
    lines, told = copied(tmp_path, http(MIRRORED.replace("OTHER", "shadow")))
    assert "return 204;" in lines
    assert "the model is somebody else" in told
    lines, _ = copied(tmp_path, http(MIRRORED.replace("OTHER", "m")))
    assert "return 204;" not in lines


def test_leave_is_asked_of_nobody_wherever_it_is_asked_for(tmp_path: Path) -> None:
    """In `http` too, and of whom another protocol leads to."""
    text = """
auth_request /leave;
server { location / { proxy_pass http://m; } location = /leave { uwsgi_pass leave:1; } }"""
    lines, _ = copied(tmp_path, http(text))
    assert "return 204;" in lines


def test_servers_of_other_addresses_are_out_of_the_way(tmp_path: Path) -> None:
    """Each may be the default of its address, and may have no name: here there is only one address."""
    text = """
server { listen 10.0.0.1:443 ssl default_server; location / { proxy_pass http://a; } }
server { listen 10.0.0.2:443 ssl default_server; location / { proxy_pass http://b; } }
server { listen 10.0.0.1:80 default_server; return 301 https://a; }
server { listen 10.0.0.2:80 default_server; return 301 https://b; }"""
    for number in (0, 1):
        lines, _ = copied(tmp_path, http(text), number)
        assert lines.count("listen ${PORT} ssl default_server;") == 1
        defaults = [line for line in lines if "default_server" in line]
        assert len(defaults) == len({line.split()[1] for line in defaults}) == 3


@pytest.mark.parametrize("partial", [True, False])
def test_what_other_files_would_have_said_of_a_part_is_put_in(tmp_path: Path, partial: bool) -> None:
    """A certificate and a format of logs; in a whole file nginx itself says that they are missing."""
    part = "server { listen 443 ssl; access_log /var/log/x.log proxy buffer=4k; location / { proxy_pass http://m; } }"
    lines, told = copied(tmp_path, part if partial else http(part))
    assert ("ssl_certificate ${CERTIFICATE};" in lines) is partial
    assert ("its certificate is in no file here" in told) is partial
    # Of a whole file nginx has to complain of a format that is not there.
    assert ("access_log /dev/stdout;" if partial else "access_log /dev/stdout proxy;") in lines


def test_the_files_of_a_container_are_found_as_templates(tmp_path: Path) -> None:
    """Beside `default.conf.template` stands what it includes, with the same ending."""
    (tmp_path / "proxy.conf.template").write_text("proxy_buffering off;")
    lines, told = copied(tmp_path, http("server { location / { include proxy.conf; proxy_pass http://m; } }"))
    assert "proxy_buffering off;" in lines
    assert "no such file" not in told


def test_a_part_includes_from_the_folder_above_its_own(tmp_path: Path) -> None:
    """What counts is where `nginx.conf` lies, also for what `conf.d/chat.conf` includes."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "proxy.conf").write_text("proxy_buffering off;")
    lines, _ = copied(tmp_path / "conf.d", "server { location / { include proxy.conf; proxy_pass http://m; } }")
    assert "proxy_buffering off;" in lines


def test_bytes_of_any_encoding_are_read(tmp_path: Path) -> None:
    """Nginx minds none; comments in Latin-1 or GBK are common."""
    path = tmp_path / "nginx.conf"
    path.write_bytes(b"# d\xe9j\xe0 vu\nserver { location / { proxy_pass http://m; } }\n")
    assert adapt(path, EntranceWish()).entrances


def test_what_a_missing_module_would_have_set_is_told_once(tmp_path: Path) -> None:
    """Its block is left out as a whole, and its variable is empty."""
    path = tmp_path / "nginx.conf"
    path.write_text(
        http(
            "geoip2 /x.mmdb { $geoip2_country country iso_code; }\n"
            "server { location / { proxy_set_header X $geoip2_country; proxy_pass http://m; } }"
        )
    )
    adapter = adapt(path, EntranceWish())
    assert adapter.leave_out('unknown directive "geoip2"')
    assert adapter.leave_out('unknown "geoip2_country" variable')
    (entrance,) = adapter.entrances
    told = [str(each) for each in adapter.replacements(entrance) if "geoip" in str(each)]
    assert len(told) == 2
    assert not [each for each in told if "would not start" in each]
