"""A user's nginx files as the lab runs them: what is replaced, what is not, and which ways lead to the model."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish
from lab.products.nginx.adapt import Nginx, adapt

Write = Callable[..., Path]

WHOLE = """\
user www-data;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
load_module modules/ngx_http_brotli_filter_module.so;
events { worker_connections 768; }
http {
    access_log /var/log/nginx/access.log combined buffer=32k;
    proxy_cache_path /var/cache/nginx keys_zone=one:1m;
    gzip on;
    upstream backend { server 10.0.0.12:8000 max_fails=3 resolve; server backup.internal backup; keepalive 16; }
    server { listen 80; listen [::]:80; server_name chat.example.com; return 301 https://$host$request_uri; }
    server {
        listen 443 ssl http2 reuseport;
        listen 443 quic reuseport;
        server_name chat.example.com;
        ssl_certificate /etc/letsencrypt/fullchain.pem;
        ssl_certificate_key /etc/letsencrypt/privkey.pem;
        ssl_verify_client on;
        location /v1/ {
            auth_request /auth;
            limit_conn one 1;
            proxy_pass http://backend;
            proxy_buffering on;
            proxy_read_timeout 60s;
        }
        location = /auth { internal; proxy_pass http://auth.internal/check; }
        location / { root /srv/www; }
    }
}
"""


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_conf", ".conf")
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text)
        return tmp_path / "nginx.conf"

    return write


def one(adapter: Nginx) -> Entrance:
    """The only entrance."""
    (found,) = adapter.entrances
    return found


def lines(text: str) -> list[str]:
    """The lines of a copy, without their indentation."""
    return [line.strip() for line in text.splitlines()]


def test_what_names_this_machine_or_its_neighbours_is_replaced(write: Write) -> None:
    """Ports, upstreams, certificates, users, logs and folders; whoever is asked for leave gives it."""
    adapter = adapt(write(nginx_conf=WHOLE), EntranceWish(path="/v1/chat/completions"))
    entrance = one(adapter)
    copy = lines(adapter.copy(entrance))
    assert (entrance.host, entrance.secure, entrance.spot.line) == ("chat.example.com", True, 19)
    for line in (
        "listen ${PORT} ssl http2;",
        "server ${MODEL} max_fails=0;",
        "server ${MODEL} backup max_fails=0;",
        "ssl_certificate ${CERTIFICATE};",
        "ssl_certificate_key ${CERTIFICATE};",
        "access_log /dev/stdout combined;",
        "error_log /dev/stderr;",
        "return 204;",
    ):
        assert line in copy
    for word in (
        "10.0.0.12",
        "auth.internal",
        "letsencrypt",
        "/var/",
        "www-data",
        "load_module",
        "limit_conn",
        "quic",
        "443",
    ):
        assert not [line for line in copy if word in line], word


def test_nothing_that_bears_on_streaming_is_touched(write: Write) -> None:
    """Every other directive stands in the copy as it does in the file, in its order."""
    adapter = adapt(write(nginx_conf=WHOLE), EntranceWish(path="/v1/chat/completions"))
    copy = adapter.copy(one(adapter))
    kept = """\
gzip on;
keepalive 16;
auth_request /auth;
proxy_pass http://backend;
proxy_buffering on;
proxy_read_timeout 60s;""".splitlines()
    assert [line for line in lines(copy) if line in kept] == kept
    replaced = {each.spot.text.split()[0] for each in adapter.replacements(one(adapter))}
    streaming = re.compile("proxy_(?!pass|cache_path)|gzip|keepalive|sendfile|tcp_|postpone|chunked|http2|send_timeout")
    assert not [name for name in replaced if streaming.match(name)]


def test_every_replacement_is_listed_with_its_place(write: Write) -> None:
    """File, line, what stood there, what stands there now, and why."""
    path = write(nginx_conf=WHOLE)
    adapter = adapt(path, EntranceWish(path="/v1/chat/completions"))
    told = [str(each) for each in adapter.replacements(one(adapter))]
    assert (
        f"{path}:13: listen 443 ssl http2 reuseport; -> listen ${{PORT}} ssl http2; (the lab chooses where it listens)"
        in told
    )
    assert f"{path}:2: pid /run/nginx.pid; -> left out (the lab starts it, in the foreground)" in told


def test_two_tiers_of_one_file_still_find_each_other(write: Write) -> None:
    """The inner one is no entrance, and is asked by a socket of this copy's own."""
    path = write(
        nginx_conf="""\
events {}
http {
    server { listen 8080; location / { proxy_pass http://127.0.0.1:9000; } }
    server { listen 127.0.0.1:9000; location / { proxy_pass http://model.internal:8000/; } }
}
"""
    )
    adapter = adapt(path, EntranceWish())
    copy = adapter.copy(one(adapter))
    (inner,) = re.findall(r"listen (unix:\S+);", copy)
    assert f"proxy_pass http://{inner};" in copy
    assert "proxy_pass http://${MODEL}/;" in copy


@pytest.mark.parametrize(
    ("passing", "copied"),
    [
        ("http://model:8000", "http://${MODEL}"),
        ("https://api.example.com/v1/", "http://${MODEL}/v1/"),
        ("http://unix:/run/model.sock:/v1/", "http://${MODEL}/v1/"),
        ("http://$upstream", "http://${MODEL}"),
        ("http://$upstream$request_uri", "http://$token_stream_lab_model$request_uri"),
        ("$scheme_and_host", "http://${MODEL}"),
    ],
)
def test_however_the_model_is_named_it_is_the_labs(write: Write, passing: str, copied: str) -> None:
    """By name, over TLS, over a socket, or by a variable that no resolver could follow here."""
    path = write(nginx_conf=f"events {{}} http {{ server {{ listen 80; location / {{ proxy_pass {passing}; }} }} }}")
    adapter = adapt(path, EntranceWish())
    assert f"proxy_pass {copied};" in lines(adapter.copy(one(adapter)))


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat", "/v1/chat/completions"),
        ("= /v1/messages", "/v1/messages"),
        ("/api/llm/", "/api/llm/v1/chat/completions"),
        ("/llm/v1", "/llm/v1/chat/completions"),
        ("~ ^/v1/(chat|embeddings)", "/v1/chat/completions"),
        ("~* ^/GW/", "/GW/v1/chat/completions"),
        ("= /ask", "/ask"),
    ],
)
def test_a_location_is_asked_for_what_its_clients_ask(write: Write, location: str, asked: str) -> None:
    """A path of a model's below it, and one that nginx takes to this location."""
    text = f"server {{ listen 80; location {location} {{ proxy_pass http://m; }} location /other {{ root /srv; }} }}"
    assert one(adapt(write(nginx_conf=text), EntranceWish())).path == asked


def test_the_path_that_is_named_chooses_the_location(write: Write) -> None:
    """As nginx does: the exact one, the longest prefix, and regular expressions before those."""
    text = """\
server {
    listen 80;
    location /v1/ { proxy_pass http://a; }
    location /v1/chat/ { proxy_pass http://b; }
    location ~ ^/v1/embed { proxy_pass http://c; }
    location ^~ /v1/files { proxy_pass http://d; }
    location @app { proxy_pass http://e; }
    location /app { try_files $uri @app; }
}
"""
    path = write(nginx_conf=text)
    places = {
        "/v1/chat/completions": 4,
        "/v1/models": 3,
        "/v1/embeddings": 5,
        "/v1/files/1": 6,
        "/app/v1/messages": 8,
    }
    for asked, line in places.items():
        assert one(adapt(path, EntranceWish(path=asked))).spot.line == line


def test_without_a_path_every_location_that_leads_to_a_model_is_an_entrance(write: Write) -> None:
    """With --upstream only those that lead there; what no model's client asks for is told apart."""
    text = """\
server { listen 80;
    location /v1/ { proxy_pass http://model; }
    location /agent/ { proxy_pass http://agent; }
    location = /health { proxy_pass http://model; }
    location /static/ { root /srv; } }
"""
    path = write(nginx_conf=text)
    adapter = adapt(path, EntranceWish())
    assert [each.path for each in adapter.entrances] == ["/v1/chat/completions", "/agent/v1/chat/completions"]
    assert [each.line for each in adapter.passed_over] == [4]
    assert [each.spot.line for each in adapt(path, EntranceWish(upstreams=("agent",))).entrances] == [3]
    assert one(adapt(path, EntranceWish(path="/health"))).spot.line == 4


def test_where_no_client_can_ask_is_no_entrance(write: Write) -> None:
    """An `internal` location, and one that says who may pass."""
    text = """\
server { listen 80;
    location = /auth { proxy_pass http://auth; }
    location = /hidden { internal; proxy_pass http://auth; }
    location / { auth_request /auth; proxy_pass http://m; } }
"""
    assert one(adapt(write(nginx_conf=text), EntranceWish())).spot.line == 4


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("location /api/ { proxy_pass http://m/; }", "/api/v1/chat/completions"),
        ("location /api/ { proxy_pass http://m; }", "/api/chat"),
        ("location /api/ { rewrite ^/api/(.*)$ /$1 break; proxy_pass http://m; }", "/api/v1/chat/completions"),
        (
            "location /api/ { set $m http://m:1; rewrite ^/api/(.*) /$1 break; proxy_pass $m; }",
            "/api/v1/chat/completions",
        ),
        ("location /v1/messages { proxy_pass http://m/v1/messages; }", "/v1/messages"),
    ],
)
def test_a_path_is_asked_that_arrives_as_one_of_a_models(write: Write, location: str, asked: str) -> None:
    """What a location takes off, or rewrites, is counted in."""
    assert one(adapt(write(nginx_conf=f"server {{ listen 80; {location} }}"), EntranceWish())).path == asked


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("*.example.com", "any.example.com"),
        (".example.com", "example.com"),
        ("example.*", "example.com"),
        ("localhost", "localhost"),
        ("_", ""),
        ("~^(?<who>[a-z]+)\\.x$", "any.x"),
    ],
)
def test_a_host_is_named_that_the_server_has(write: Write, name: str, asked: str) -> None:
    """One of a wildcard's, so that no default server answers in its place."""
    text = f"server {{ listen 80; server_name {name}; location / {{ proxy_pass http://m; }} }}"
    assert one(adapt(write(nginx_conf=text), EntranceWish())).host == asked


def test_a_template_is_filled_with_the_values_that_there_are(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment and of `.env`; what the lab replaces anyway needs none; no value is shown."""
    monkeypatch.setenv("TSL_TEST_TOKEN", "sesame")
    text = """\
server {
    listen ${TSL_TEST_PORT};
    location / {
        if ($http_authorization != "Bearer ${TSL_TEST_TOKEN}") { return 401; }
        proxy_pass http://${TSL_TEST_HOST}:8000;
        proxy_read_timeout ${TSL_TEST_TIMEOUT};
    }
}
"""
    path = write(nginx_conf=text)
    with pytest.raises(BadInput, match=r"nginx\.conf:6: .*TSL_TEST_TIMEOUT.* no value"):
        adapt(path, EntranceWish())
    (path.parent / ".env").write_text("# local\nTSL_TEST_TIMEOUT=75s\n")
    adapter = adapt(path, EntranceWish())
    copy = adapter.copy(one(adapter))
    assert "proxy_read_timeout 75s;" in lines(copy)
    assert "Bearer sesame" in copy
    assert "http://${MODEL}" in copy or "token_stream_lab_model" in copy
    told = "\n".join(map(str, adapter.replacements(one(adapter))))
    assert "nginx.conf:6" in told
    assert "sesame" not in told


def test_a_folder_with_includes_is_read_wherever_it_lies(write: Write) -> None:
    """What stood below /etc/nginx is found beside the main file, by globs too; what is not there is listed."""
    write(
        nginx_conf="events {} http { include /etc/nginx/nowhere/types.conf; include /etc/nginx/sites-enabled/*; }",
        **{"sites-enabled__chat_conf": "server { listen 80; location / { include snippets/pass.conf; } }",
           "snippets__pass_conf": "proxy_pass http://model;\nproxy_buffering on;\n"},
    )  # fmt: skip
    adapter = adapt(write(), EntranceWish())
    assert one(adapter).spot.file.name == "chat.conf"
    spot = adapter.spot_of(one(adapter), "proxy_buffering off;")
    assert str(spot).endswith("snippets/pass.conf:2: proxy_buffering on;")
    assert "types.conf; -> left out (no such file is here)" in " ".join(map(str, adapter.replacements(one(adapter))))


@pytest.mark.parametrize("level", ["http", "server", "location"])
def test_a_setting_is_found_where_it_is_inherited_from(write: Write, level: str) -> None:
    """The nearest counts; where none stands, the default holds."""
    here = {name: "proxy_read_timeout 7s;" if name == level else "" for name in ("http", "server", "location")}
    text = f"""\
events {{}}
http {{ {here["http"]}
  server {{ listen 80; {here["server"]}
    location / {{ proxy_pass http://m; {here["location"]} }} }} }}
"""
    adapter = adapt(write(nginx_conf=text), EntranceWish())
    spot = adapter.spot_of(one(adapter), "proxy_read_timeout 600s;")
    assert spot is not None
    assert spot.line == {"http": 2, "server": 3, "location": 4}[level]
    assert adapter.spot_of(one(adapter), "proxy_buffering off;") is None


def test_a_fix_changes_the_users_own_lines_and_no_others(write: Write) -> None:
    """A setting of the location itself is replaced; another is put behind its brace; all else stays as it is."""
    text = """\
server {
    listen 80;   # public
    location / {
        # our model
        proxy_pass http://m;
        proxy_buffering on; proxy_read_timeout 5s;
    }
}
"""
    path = write(nginx_conf=text)
    adapter = adapt(path, EntranceWish())
    changed = adapter.edit(one(adapter), ("proxy_buffering off;", "gzip off;"))
    off = text.replace("proxy_buffering on;", "proxy_buffering off;")
    assert changed == {path: off.replace("location / {\n", "location / {\n        gzip off;\n")}


def test_a_location_on_one_line_is_changed_on_that_line(write: Write) -> None:
    """It stays as its author writes."""
    text = "server { listen 80; location / { proxy_pass http://m; } }\n"
    path = write(nginx_conf=text)
    adapter = adapt(path, EntranceWish())
    changed = adapter.edit(one(adapter), ("gzip off;",))
    assert changed == {path: "server { listen 80; location / { gzip off; proxy_pass http://m; } }\n"}


BAD = {
    "a template of another kind": ("server { listen {{ port }}; }", "nginx.conf:1: `listen` has too few words"),
    "of another product": ("frontend web\n  bind :80\n", "no configuration of nginx's"),
    "nowhere": ("", "has no `server`"),
    "passes nothing on": ("server { listen 80; location / { root /srv; } }", "passes nothing on"),
    "no brace": ("events {} http { server {", "nginx.conf:1"),
    "a semicolon is missing": ("events {}\nhttp {\n server { listen 80\n location / { root /x; } } }", "nginx.conf:3"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_verified_is_told_in_one_message(write: Write, text: str, words: str) -> None:
    """With file and line, or with what is missing."""
    with pytest.raises(BadInput, match=re.escape(words)) as caught:
        adapt(write(nginx_conf=text), EntranceWish())
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (EntranceWish(host="other.example.com"), "no server of"),
        (EntranceWish(path="/static/x"), "passes nothing on to the model"),
        (EntranceWish(path="/nowhere"), "no location of"),
        (EntranceWish(upstreams=("nobody",)), "passes nothing on to that"),
    ],
)
def test_a_wish_that_leads_nowhere_says_where_it_led(write: Write, wish: EntranceWish, words: str) -> None:
    """The user sees why, and what there is."""
    text = """\
server { listen 80; server_name a.example.com;
    location /v1/ { proxy_pass http://m; }
    location /static/ { root /s; } }
"""
    with pytest.raises(BadInput, match=words):
        adapt(write(nginx_conf=text), wish)


def test_odd_files_are_one_message(tmp_path: Path) -> None:
    """Binary, too large, a loop of includes, not there, or a pipe that nobody writes to."""
    binary, large, loop = tmp_path / "binary", tmp_path / "large", tmp_path / "loop"
    binary.write_bytes(b"\x7fELF\xff\xfe")
    large.write_bytes(b"# x\n" * 2**20)
    loop.write_text(f"include {loop};")
    os.mkfifo(tmp_path / "pipe")
    for path in (binary, large, loop, tmp_path / "missing", tmp_path / "pipe"):
        with pytest.raises(BadInput, match=path.name):
            adapt(path, EntranceWish())


def test_what_this_nginx_does_not_know_is_left_out(write: Write) -> None:
    """A directive of a module that is not here; any other complaint is the user's."""
    text = "server { listen 80; location / { brotli on; proxy_pass http://m; } }"
    adapter = adapt(write(nginx_conf=text), EntranceWish())
    assert not adapter.leave_out('"server" directive is not allowed here in /x:1')
    assert adapter.leave_out('unknown directive "brotli" in /x:3')
    assert not adapter.leave_out('unknown directive "brotli" in /x:3')
    assert "brotli" not in adapter.copy(one(adapter))


def test_a_slip_of_the_pen_is_no_module(write: Write) -> None:
    """Nobody can tell for sure, and nginx would not start: the directive that may be meant is named."""
    text = "server { listen 80; location / { brotli on; proxy_bufering off; proxy_pass http://m; } }"
    adapter = adapt(write(nginx_conf=text), EntranceWish())
    for name in ("brotli", "proxy_bufering"):
        assert adapter.leave_out(f'unknown directive "{name}" in /x:1')
    said = {each.spot.text: each.why for each in adapter.replacements(one(adapter))}
    assert "is proxy_buffering meant?" in said["proxy_bufering off;"]
    assert "meant" not in said["brotli on;"]


def test_a_default_server_that_answers_nobody_gives_the_copy_a_sign_of_life(write: Write) -> None:
    """Whether it is up is asked without a name; everything else of it stays."""
    text = """\
server { listen 443 ssl default_server; ssl_reject_handshake on; return 444; }
server { listen 443 ssl; server_name a.example.com; ssl_certificate a; ssl_certificate_key b;
    location / { proxy_pass http://m; } }
"""
    adapter = adapt(write(nginx_conf=text), EntranceWish())
    copy = adapter.copy(one(adapter))
    assert "return 404;" in lines(copy)
    assert copy.count("ssl_certificate ${CERTIFICATE};") == copy.count("ssl_certificate_key ${CERTIFICATE};") == 2
    assert not re.search("444|reject", copy)


def test_one_complaint_tells_of_a_whole_module(write: Write) -> None:
    """Each costs a start; a directive of the stock modules stands for itself, and others of its start stay."""
    text = """\
server { listen 80;
    brotli on; brotli_types text/plain;
    location / {
        access_by_lua_block { x() } lua_code_cache on; rewrite_by_lua_file x.lua;
        proxy_novelty on; proxy_buffering on;
        proxy_pass http://m;
    }
}
"""
    adapter = adapt(write(nginx_conf=text), EntranceWish())
    for name in ("brotli", "access_by_lua_block", "proxy_novelty"):
        assert adapter.leave_out(f'unknown directive "{name}" in /x:3')
    copy = adapter.copy(one(adapter))
    assert not re.search("brotli|lua|novelty", copy)
    assert "proxy_buffering on;" in copy


def test_a_variable_of_a_module_that_is_not_here_is_empty(write: Write) -> None:
    """It is listed where it is used."""
    text = "server { listen 80; location / { proxy_set_header X-From $geoip2_country; proxy_pass http://m; } }"
    adapter = adapt(write(nginx_conf=text), EntranceWish())
    assert adapter.leave_out('unknown "geoip2_country" variable')
    assert "map $uri $geoip2_country {" in adapter.copy(one(adapter))
    assert [each for each in adapter.replacements(one(adapter)) if "is empty here" in each.why]
    assert not adapter.leave_out('unknown "geoip2_country" variable')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("gzip_types a/b; gzip on;", "gzip_types a/b; gzip off;"),
        ("gzip    on; # gzip", "gzip off; # gzip"),
        ("gzip\n            on; proxy_method POST;", "gzip off; proxy_method POST;"),
    ],
)
def test_a_setting_is_replaced_however_it_is_written(write: Write, before: str, after: str) -> None:
    """Beside another whose name begins so, with a comment, over two lines."""
    location = 'location ~ "^/v[0-9]{{1,2}}/" {{'
    text = f"server {{{{ listen 80;\n    {location}\n        {{}}\n        proxy_pass http://m;\n    }}}}\n}}}}\n"
    path = write(nginx_conf=text.format(before))
    adapter = adapt(path, EntranceWish(path="/v1/messages"))
    assert adapter.edit(one(adapter), ("gzip off;",)) == {path: text.format(after)}
    added = adapter.edit(one(adapter), ("proxy_buffering off;",))[path]
    assert '{1,2}/" {\n        proxy_buffering off;\n' in added


def test_a_complaint_is_told_of_the_users_own_line(write: Write, tmp_path: Path) -> None:
    """The copy's lines are nobody's."""
    text = """\
# a comment

server {
    listen 80;
    location / {
        proxy_pass http://m;
        proxy_buffers 1 4k;
    }
}
"""
    path = write(nginx_conf=text)
    adapter = adapt(path, EntranceWish())
    copy = adapter.copy(one(adapter)).splitlines()
    line = next(number for number, each in enumerate(copy, 1) if "proxy_buffers" in each)
    ran = tmp_path / "copy/main.conf"
    said = f"invalid value in {ran}:{line}"
    assert adapter.locate(said, one(adapter), ran) == f"invalid value in {path}:7"


@pytest.mark.parametrize(("value", "added"), [("", []), ("# a comment\nallow 10.0.0.1;\ndeny all;", ["allow", "deny"])])
def test_a_name_alone_on_a_line_stands_for_lines(
    write: Write, monkeypatch: pytest.MonkeyPatch, value: str, added: list[str]
) -> None:
    """As in templates of containers, which put a whole block there or nothing."""
    monkeypatch.setenv("MORE_CONFIG", value)
    text = "server {\n  location / { proxy_pass http://m; }\n  ${MORE_CONFIG}\n  # more\n  ${OTHER_CONFIG}\n}\n"
    path = write(nginx_conf=text)
    adapter = adapt(path, EntranceWish())
    assert [each.name for each in adapter.tree.top.below("allow", "deny")] == added
    told = [str(each) for each in adapter.replacements(one(adapter))]
    assert f"{path}:3: ${{MORE_CONFIG}} -> {'with its value' if value else 'left out'} (a template's name)" in told
    assert f"{path}:5: ${{OTHER_CONFIG}} -> left out (a template's name)" in told


@pytest.mark.parametrize("phase", ["ssl_client_hello", "exit_worker", "server_rewrite", "access"])
def test_lua_is_read_over(write: Write, phase: str) -> None:
    """Its braces and missing semicolons are no configuration."""
    lua = "local t = { a = 1 } -- }\n if t.a then ngx.exit(403) end"
    text = f"server {{\n {phase}_by_lua_block {{\n {lua}\n }}\n location / {{ proxy_pass http://m; }}\n}}\n"
    assert one(adapt(write(nginx_conf=text), EntranceWish())).path == "/v1/chat/completions"
