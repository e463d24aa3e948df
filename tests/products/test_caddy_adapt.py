"""A user's Caddyfiles as the lab runs them: what is replaced, what is not, and which proxy serves a request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, endpoint_of
from lab.products.caddy import PRODUCT
from lab.products.caddy.adapt import Caddy, adapt
from lab.products.caddy.tree import read_caddyfile

FILES = Path(__file__).parents[1] / "verify" / "files" / "caddy"

Write = Callable[[str], Path]


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "Caddyfile"
        path.write_text(text)
        return path

    return write


def one(adapter: Caddy) -> Entrance:
    """The only entrance."""
    (found,) = adapter.entrances
    return found


def lines(text: str) -> list[str]:
    """The lines of a copy, without their indentation."""
    return [line.strip() for line in text.splitlines()]


WHOLE = """\
{
	email ops@example.com
	admin localhost:2019
	servers :443 {
		listener_wrappers {
			proxy_protocol
		}
		timeouts {
			write 30s
			idle 2m
		}
		max_header_size 16KB
	}
}
(site) {
	log {
		output file /var/log/caddy/{args[0]}.log
	}
	header X-Site {args[0]}
}
chat.example.com, www.example.com { # public
	import site "our chat"
	bind 192.0.2.7
	tls /etc/ssl/chat.pem /etc/ssl/chat.key {
		protocols tls1.3
		client_auth {
			mode require
		}
	}
	encode zstd gzip
	forward_auth auth:9091 {
		uri /api/verify
	}
	request_body {
		max_size 10MB
	}
	reverse_proxy https://gpu1:8443 h2c://gpu2:8080 {
		lb_policy least_conn
		lb_try_duration 5s
		health_uri /health
		max_fails 3
		flush_interval 5s
		header_up Host {upstream_hostport}
		transport http {
			tls_insecure_skip_verify
			versions h2c 2
			max_conns_per_host 4
			read_timeout 5m
			keepalive 30s
			read_buffer 8KiB
		}
	}
	handle_errors {
		respond "{err.status_code}"
	}
}
http:// {
	redir https://{host}{uri}
}
"""


def test_what_names_this_machine_or_its_neighbours_is_replaced(write: Write) -> None:
    """Addresses, servers, certificates, options, logs and who may ask; the site that only redirects is no entrance."""
    adapter = adapt(write(WHOLE), EntranceWish())
    entrance = one(adapter)
    assert (entrance.path, entrance.host) == ("/v1/chat/completions", "chat.example.com")
    assert (entrance.secure, entrance.http_2) == (True, True)
    copy = lines(adapter.copy(entrance))
    for line in (
        "admin off",
        "auto_https off",
        "servers {",
        ":${PORT} {",
        "tls ${CERTIFICATE} ${CERTIFICATE} {",
        'header X-Site "our chat"',
        "log",
        "reverse_proxy ${MODEL} ${MODEL} {",
    ):
        assert line in copy
    for word in (
        "email",
        "2019",
        "proxy_protocol",
        "192.0.2.7",
        "/etc/",
        "/var/",
        "client_auth",
        "forward_auth",
        "gpu",
    ):
        assert word not in "".join(copy)
    for word in ("health_uri", "max_fails", "tls_insecure_skip_verify", "versions", "max_conns_per_host", "redir"):
        assert word not in "".join(copy)


def test_nothing_that_bears_on_streaming_is_touched(write: Write) -> None:
    """Every such line stands in the copy as it does in the file, in its order."""
    adapter = adapt(write(WHOLE), EntranceWish())
    kept = """\
write 30s
idle 2m
max_header_size 16KB
protocols tls1.3
encode zstd gzip
max_size 10MB
lb_policy least_conn
lb_try_duration 5s
flush_interval 5s
header_up Host {upstream_hostport}
read_timeout 5m
keepalive 30s
read_buffer 8KiB
respond "{err.status_code}\"""".splitlines()
    assert [line for line in lines(adapter.copy(one(adapter))) if line in kept] == kept
    replaced = [each.spot.text for each in adapter.replacements(one(adapter))]
    streaming = re.compile(r"encode|\w*timeouts?|flush|read|write|keepalive|lb_|request|response|max_size|max_header")
    assert not [text for text in replaced if streaming.match(text)]


def test_every_replacement_is_listed_with_its_place(write: Write) -> None:
    """By file and line, with what stands there now."""
    path = write(WHOLE)
    adapter = adapt(path, EntranceWish())
    told = [str(each) for each in adapter.replacements(one(adapter))]
    for words, now in (
        ("email ops@example.com", "left out (this machine is another)"),
        ("log {", "log (its log is read there)"),
        ("forward_auth auth:9091 {", "left out (who may ask is not asked)"),
        (
            "reverse_proxy https://gpu1:8443 h2c://gpu2:8080 {",
            "reverse_proxy ${MODEL} ${MODEL} (in the place of the model)",
        ),
        ("http:// {", "left out (the lab asks another)"),
    ):
        number = lines(WHOLE).index(words) + 1
        assert f"{path}:{number}: {words} -> {now}" in told


def test_words_are_read_as_caddy_reads_them(write: Write) -> None:
    """Quotes, backticks, here-documents, comments, lines that go on, placeholders and addresses behind a comma."""
    path = write(
        'a.example.com,\nb.example.com { # both\n\t@x path "/a b" `/c"d` /e#f\n'
        "\theader A {http.request.uri} \\\n\t\tmore\n"
        "\trespond <<HTML\n\t\t<p>{x} }</p>\n\t\tHTML 200\n}\n"
    )
    (site,) = read_caddyfile(path).sites
    assert site.words == ["a.example.com,", "b.example.com"]
    matcher, header, respond = site.block or []
    assert matcher.words == ["@x", "path", "/a b", '/c"d', "/e#f"]
    assert header.words == ["header", "A", "{http.request.uri}", "more"]
    assert respond.words == ["respond", "\t\t<p>{x} }</p>", "200"]
    assert (matcher.line, header.line, respond.line, respond.last) == (3, 4, 6, 8)


def test_a_file_of_one_site_needs_no_braces(write: Write) -> None:
    """Its first line is the address."""
    adapter = adapt(write("localhost:8080\n\nreverse_proxy model:8000 # ours\n"), EntranceWish())
    assert (one(adapter).host, one(adapter).secure) == ("localhost", True)
    assert adapter.edit(one(adapter), ("flush_interval 0",)) == {}


@pytest.mark.parametrize(
    ("address", "directives", "secure"),
    [
        ("chat.example.com", "", True),
        ("http://chat.example.com", "", False),
        ("chat.example.com:80", "", False),
        ("chat.example.com:8443", "", True),
        (":443", "", True),
        (":8080", "", False),
        (":8080", "tls internal", True),
        ("https://:8080", "", True),
    ],
)
def test_tls_is_spoken_where_caddy_would(write: Write, address: str, directives: str, secure: bool) -> None:
    """Whatever has a name speaks it, unless it says otherwise."""
    adapter = adapt(write(f"{address} {{\n\t{directives}\n\treverse_proxy m:1\n}}\n"), EntranceWish())
    assert one(adapter).secure is secure
    assert ("tls ${CERTIFICATE}" in adapter.copy(one(adapter))) is secure


def test_without_automatic_https_a_name_is_no_reason_for_tls(write: Write) -> None:
    """Nor is HTTP/2 offered where the servers leave it out."""
    text = "{\n\tauto_https off\n}\nchat.example.com {\n\treverse_proxy m:1\n}\n"
    assert not one(adapt(write(text), EntranceWish())).secure
    text = "{\n\tservers {\n\t\tprotocols h1\n\t}\n}\nchat.example.com {\n\treverse_proxy m:1\n}\n"
    found = one(adapt(write(text), EntranceWish()))
    assert (found.secure, found.http_2) == (True, False)


@pytest.mark.parametrize(
    ("directives", "path"),
    [
        ("reverse_proxy m:1", "/v1/chat/completions"),
        ("reverse_proxy /api/llm/* m:1", "/api/llm/v1/chat/completions"),
        ("handle /ask {\nreverse_proxy m:1\n}", "/ask"),
        ("handle_path /llm/* {\nreverse_proxy m:1\n}", "/llm/v1/chat/completions"),
        ("handle_path /a/* {\nhandle_path /b/* {\nreverse_proxy m:1\n}\n}", "/a/b/v1/chat/completions"),
        ("@x {\npath_regexp ^/gw/\nmethod POST\n}\nreverse_proxy @x m:1", "/gw/v1/chat/completions"),
        ("@x not path /v1/chat/*\nreverse_proxy @x m:1", "/v1/messages"),
        ("route {\nuri strip_prefix /in\nreverse_proxy /v1/messages m:1\n}", "/v1/messages"),
        ("redir /v1/chat/completions /docs\nreverse_proxy m:1", "/v1/messages"),
        ("respond /v1/chat/* 404\nreverse_proxy m:1", "/v1/messages"),
    ],
)
def test_a_proxy_is_asked_for_what_its_clients_ask(write: Write, directives: str, path: str) -> None:
    """A path that comes to it as Caddy orders directives: a model's own, else one below what its matchers name."""
    assert one(adapt(write(f":80 {{\n{directives}\n}}\n"), EntranceWish())).path == path


def test_the_more_particular_directive_is_the_one_that_is_asked(write: Write) -> None:
    """Of one kind those for longer paths first, in whatever order; `handle_path` is of the kind of `handle`."""
    path = write(
        ":80 {\n\thandle {\n\t\treverse_proxy web:1\n\t}\n\thandle_path /llm/* {\n\t\treverse_proxy a:1\n\t}\n"
        "\thandle /llm/v1/messages {\n\t\treverse_proxy b:1\n\t}\n\treverse_proxy never:1\n}\n"
    )
    for asked, upstream in (("/llm/v1/responses", "a"), ("/llm/v1/messages", "b"), ("/v1/responses", "web")):
        assert one(adapt(path, EntranceWish(path=asked))).spot.text == f"reverse_proxy {upstream}:1"
    texts = [each.spot.text for each in adapt(path, EntranceWish()).entrances]
    assert texts == ["reverse_proxy web:1", "reverse_proxy a:1", "reverse_proxy b:1"]
    assert one(adapt(path, EntranceWish(upstreams=("b",)))).spot.text == "reverse_proxy b:1"


def test_a_host_of_a_wildcard_is_asked_by_its_name(write: Write) -> None:
    """As a `host` matcher has it; another host leads elsewhere."""
    path = write(
        "*.example.com {\n\t@chat host chat.example.com\n\thandle @chat {\n\t\treverse_proxy a:1\n\t}\n"
        "\thandle {\n\t\treverse_proxy b:1\n\t}\n}\n"
    )
    assert [each.host for each in adapt(path, EntranceWish()).entrances] == ["chat.example.com", "other.example.com"]
    other = one(adapt(path, EntranceWish(host="docs.example.com")))
    assert (other.spot.text, other.host) == ("reverse_proxy b:1", "docs.example.com")


def test_what_cannot_be_told_of_a_request_is_left_out_and_listed(write: Write) -> None:
    """Of the way that is asked; what stands in its way by such a condition goes as a whole."""
    path = write(
        ":80 {\n\t@team {\n\t\tpath /v1/*\n\t\theader X-Team *\n\t}\n\t@office remote_ip 192.0.2.0/24\n"
        "\tabort @office\n\treverse_proxy @office office:1\n\treverse_proxy @team a:1\n}\n"
    )
    office, team = adapt(path, EntranceWish()).entrances
    adapter = adapt(path, EntranceWish())
    assert "@office path *" in lines(adapter.copy(office))
    copy = lines(adapter.copy(team))
    assert "header X-Team *" not in copy
    assert "path /v1/*" in copy
    assert not [line for line in copy if line.startswith(("abort", "respond @office", "reverse_proxy @office"))]
    assert sum("cannot be told" in each.why for each in adapter.replacements(team)) == 2


def test_two_tiers_of_one_file_still_find_each_other() -> None:
    """The inner one is no entrance, and is asked by a socket of the copy's own."""
    adapter = adapt(FILES / "behind-lb.caddyfile", EntranceWish())
    copy = lines(adapter.copy(one(adapter)))
    socket = "unix//tmp/token-stream-lab-${PORT}-1.sock"
    assert f"reverse_proxy {socket}" in copy
    assert f"bind {socket}" in copy
    assert "to ${MODEL}" in copy
    assert "rewrite * /openai/v1{uri}" in copy


def test_snippets_and_files_are_put_in_place() -> None:
    """Those below the main file's folder; what is changed is the file that has the line."""
    adapter = adapt(FILES / "shop", EntranceWish(upstreams=("gpu1.internal",)))
    entrance = one(adapter)
    assert (entrance.path, entrance.host) == ("/llm/v1/chat/completions", "assistant.example.com")
    assert entrance.spot.file == FILES / "shop/sites/assistant.caddy"
    assert list(adapter.edit(entrance, ("lb_try_duration 0s",))) == [entrance.spot.file]
    assert 'header Strict-Transport-Security "max-age=31536000"' in lines(adapter.copy(entrance))


def test_a_fix_changes_the_users_own_lines_and_no_others(write: Write) -> None:
    """In the place of a like one, with its comment; where Caddy's default is right, nothing is written."""
    text = """\
{
  servers {
    timeouts {
      write 20s   # as ever
    }
  }
}
(up) {
  reverse_proxy {args[:]} {
    flush_interval -1 # at once
    transport http {
      response_header_timeout 1m30s
      read_timeout 15m
    }
  }
}
:80 {
  encode gzip # all of it
  import up a:1 b:1
}
"""
    path = write(text)
    adapter = adapt(path, EntranceWish())
    fix = (
        "response_header_timeout 600s",
        "read_timeout 600s",
        "write 600s",
        "flush_interval 0",
        "lb_retries 0",
        "match header Content-Type application/json*",
    )
    changed = (
        text.replace("write 20s ", "write 600s ")
        .replace("flush_interval -1 #", "flush_interval 0 #")
        .replace("1m30s", "600s")
        .replace("encode gzip #", "encode gzip { #")
        .replace("all of it\n", "all of it\n  \tmatch header Content-Type application/json*\n  }\n")
    )
    assert adapter.edit(one(adapter), fix) == {path: changed}
    # What is written is what was run.
    copy = lines(adapter.copy(one(adapter), fix))
    assert {"write 600s", "flush_interval 0", "response_header_timeout 600s", "read_timeout 15m"} <= set(copy)
    spots = {each: adapter.spot_of(one(adapter), each) for each in (*fix, "max_size 64MB")}
    assert {each: spot and spot.line for each, spot in spots.items()} == {
        "response_header_timeout 600s": 12,
        "read_timeout 600s": None,
        "write 600s": 4,
        "flush_interval 0": 10,
        "lb_retries 0": None,
        "match header Content-Type application/json*": 18,
        "max_size 64MB": None,
    }


def test_a_line_is_put_first_into_a_block_that_is_there(write: Write) -> None:
    """With the indentation of what stands there."""
    text = ":80 {\n    encode {\n        gzip 5\n    }\n    reverse_proxy m:1\n}\n"
    adapter = adapt(write(text), EntranceWish())
    (changed,) = adapter.edit(one(adapter), ("match header Content-Type application/json*",)).values()
    assert changed == text.replace("        gzip", "        match header Content-Type application/json*\n        gzip")


def test_names_of_the_environment_get_their_values(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what the file says in their place; an address needs none; none is written back."""
    transport = "transport http {\n\t\t\tread_timeout {$WAIT}\n\t\t\twrite_timeout {$W:7s}\n\t\t}"
    path = write(f":{{$LISTEN}} {{\n\treverse_proxy {{$LLM_UPSTREAM}} {{\n\t\t{transport}\n\t}}\n}}\n")
    monkeypatch.delenv("WAIT", raising=False)
    with pytest.raises(BadInput, match=re.escape("Caddyfile:4: {$WAIT} has no value here")):
        adapt(path, EntranceWish())
    (path.parent / ".env").write_text("WAIT=3s\n")
    adapter = adapt(path, EntranceWish())
    assert {"read_timeout 3s", "write_timeout 7s"} <= set(lines(adapter.copy(one(adapter))))
    assert adapter.edit(one(adapter), ("read_timeout 600s",)) == {path: path.read_text().replace("{$WAIT}", "600s")}


def test_a_name_in_a_header_needs_no_value(write: Write) -> None:
    """Caddy takes it as empty; where it says how to hand a reply on, a value is needed."""
    proxy = "{{\n\tencode gzip\n\treverse_proxy m:1 {{\n\t\t{0}\n\t}}\n}}\n"
    header = 'header_up Authorization "Bearer {$NOWHERE_SET}"'
    adapter = adapt(write(":80 " + proxy.format(header)), EntranceWish())
    assert header in lines(adapter.copy(one(adapter)))
    with pytest.raises(BadInput, match=r"Caddyfile:4: \{\$NOWHERE_SET\} has no value"):
        adapt(write(":80 " + proxy.format("flush_interval {$NOWHERE_SET}")), EntranceWish())


def test_a_site_whose_name_has_no_value_may_have_any(write: Write) -> None:
    """It is asked over TLS, as Caddy asks for whatever has a name, and by the host that is wished for."""
    path = write("{$NOWHERE_SET} {\n\treverse_proxy m:1\n}\nother.org {\n\treverse_proxy o:1\n}\n")
    asked = one(adapt(path, EntranceWish(host="chat.example.com")))
    assert (asked.host, asked.secure, asked.spot.text) == ("chat.example.com", True, "reverse_proxy m:1")


def test_what_an_import_has_between_braces_stands_where_the_snippet_says(write: Write) -> None:
    """`{block}` is all of it, `{blocks.name}` what one name has; each import has its own."""
    text = """\
(model) {
	reverse_proxy {args[0]} {
		{blocks.proxy}
	}
	{block}
}
a.example.com {
	import model a:1 {
		proxy {
			flush_interval 1s
		}
	}
}
b.example.com {
	import model b:1 {
		encode gzip
	}
}
"""
    adapter = adapt(write(text.replace("\t{block}\n", "")), EntranceWish())
    first, second = adapter.entrances
    assert "flush_interval 1s" in lines(adapter.copy(first))
    assert "flush_interval" not in adapter.copy(second)
    whole = text.replace("\t\t{blocks.proxy}\n", "").replace("\t\tproxy {", "\t\theader {")
    adapter = adapt(write(whole), EntranceWish())
    assert "encode gzip" in lines(adapter.copy(adapter.entrances[1]))
    assert "{block" not in adapter.copy(adapter.entrances[0])


def test_an_import_takes_nothing_that_merely_lies_beside_the_file(tmp_path: Path) -> None:
    """A pattern keeps its folder, which is found below the main file's."""
    (tmp_path / "notes.conf").write_text("notes.example.com {\n\treverse_proxy n:1\n}\n")
    main = tmp_path / "Caddyfile"
    main.write_text("chat.example.com {\n\treverse_proxy m:1\n}\nimport /etc/caddy/addons/*.conf\nimport\n")
    assert one(adapt(main, EntranceWish())).host == "chat.example.com"
    (tmp_path / "addons").mkdir()
    (tmp_path / "addons" / "more.conf").write_text("more.example.com {\n\treverse_proxy m:1\n}\n")
    assert [each.host for each in adapt(main, EntranceWish()).entrances] == ["chat.example.com", "more.example.com"]


SERVERS = """\
{
	servers :80 {
		protocols h1
		timeouts {
			write 1s
		}
	}
	servers :443 {
		timeouts {
			write 2s
		}
	}
}
chat.example.com {
	reverse_proxy m:1
}
http://plain.example.com {
	reverse_proxy m:1
}
"""


def test_of_several_servers_the_one_of_the_port_counts(write: Write) -> None:
    """It offers what that one says, the copy has that one alone, and a fix is written there."""
    path = write(SERVERS)
    adapter = adapt(path, EntranceWish())
    secure, plain = adapter.entrances
    assert (secure.http_2, plain.http_2) == (True, False)
    for entrance, port, wait, other in ((secure, ":443", "2s", "1s"), (plain, ":80", "1s", "2s")):
        copy = lines(adapter.copy(entrance))
        assert copy.count("servers {") == 1
        assert f"write {wait}" in copy
        assert f"write {other}" not in copy
        assert f"servers {port} {{ -> servers" in "\n".join(map(str, adapter.replacements(entrance)))
        changed = {path: SERVERS.replace(f"write {wait}", "write 600s")}
        assert adapter.edit(entrance, ("write 600s",)) == changed


@pytest.mark.parametrize(
    ("directives", "path"),
    [
        ("reverse_proxy m:1 {\n\trewrite /v1/messages\n}", "/v1/messages"),
        ("handle_path /ai/* {\n\trewrite /v1/responses\n\treverse_proxy m:1\n}", "/ai/v1/responses"),
        ("handle_path /gw/* {\n\treverse_proxy m:1 {\n\t\trewrite /v1{uri}\n\t}\n}", "/gw/chat/completions"),
    ],
)
def test_a_path_is_one_that_arrives_as_the_models_own(write: Write, directives: str, path: str) -> None:
    """`rewrite` counts in the proxy too, and with one word has no matcher: the client speaks what the model speaks."""
    asked = one(adapt(write(f":80 {{\n{directives}\n}}\n"), EntranceWish()))
    assert endpoint_of(asked.path) == endpoint_of(path)


def test_what_this_caddy_does_not_know_is_left_out(write: Write) -> None:
    """A directive or an option of a plugin; a slip within one is the user's."""
    text = "{\n\torder shiny before respond\n\tlayer4 {\n\t}\n}\n:80 {\n\tshiny on\n\treverse_proxy m:1\n}\n"
    adapter = adapt(write(text), EntranceWish())
    assert adapter.leave_out("parsing caddyfile tokens for 'order': shiny is not a registered directive, at /x:2")
    assert not adapter.leave_out("/x:7: unrecognized directive: shiny")
    assert not adapter.leave_out("unrecognized subdirective flush_intervall, at /x:3")
    assert "shiny" not in adapter.copy(one(adapter))


def test_a_complaint_is_told_of_the_users_own_line(write: Write) -> None:
    """The copy's lines are nobody's."""
    path = write("# ours\n\n:80 {\n\t# the model\n\treverse_proxy m:1 {\n\t\tflush_intervall 1\n\t}\n}\n")
    adapter = adapt(path, EntranceWish())
    copy = lines(adapter.copy(one(adapter)))
    number = copy.index("flush_intervall 1") + 1
    ran = Path("/run/main.caddyfile")
    said = adapter.locate(f"unrecognized subdirective, at {ran}:{number}", one(adapter), ran)
    assert said == f"unrecognized subdirective, at {path}:6"


@pytest.mark.parametrize("name", ["shop", "behind-lb.caddyfile", "read-timeout.caddyfile", "wildcard.caddyfile"])
def test_each_line_can_be_left_out_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands in the file, wherever that is; without it the copy lacks it, and braces that held no other."""
    monkeypatch.setenv("VLLM_UPSTREAM", "vllm:8000")
    adapter = adapt(FILES / name, EntranceWish())
    for entrance in adapter.entrances:
        whole = Counter(line.strip() for line in adapter.copy(entrance).splitlines())
        assert adapter.lines(entrance)
        for spot in adapter.lines(entrance):
            less = Counter(line.strip() for line in adapter.copy(entrance, without=[spot]).splitlines())
            assert whole[spot.text] > less[spot.text], spot
            others = (whole - less) - Counter({spot.text: whole[spot.text]})
            assert all(line == "}" or line.endswith("{") for line in others), spot
        assert not [each for each in adapter.lines(entrance) if each.text.startswith("reverse_proxy")]


def test_at_home_nobody_else_can_ask() -> None:
    """As a local process it listens on loopback only."""
    adapter = adapt(FILES / "flush.caddyfile", EntranceWish())
    home = lines(PRODUCT.at_home(adapter.copy(one(adapter)), "/nowhere"))
    assert home[home.index(":${PORT} {") + 1] == "bind 127.0.0.1"


BAD = {
    "a named route": (
        "&(app) {\n\treverse_proxy m:1\n}\n:80 {\n\tinvoke app\n}\n",
        "Caddyfile:5: invoke app: the lab does not follow it",
    ),
    "nothing": ("", "has no site"),
    "an open brace": (":80 {\n\treverse_proxy m:1\n", "Caddyfile:1: its brace is not closed"),
    "a brace too many": (":80 {\n}\n}\n", "Caddyfile:3: no brace is open"),
    "nothing behind": (":80 {\n\tfile_server\n}\n", "no reverse_proxy"),
    "another protocol": (":80 {\n\treverse_proxy m:1 {\n\t\ttransport fastcgi\n\t}\n}\n", "no reverse_proxy"),
    "imports itself": ("(a) {\n\timport a\n}\n:80 {\n\timport a\n}\n", "Caddyfile:2 imports itself"),
    "nothing gets there": (":80 {\n\tredir https://{host}{uri}\n\treverse_proxy m:1\n}\n", "no reverse_proxy is asked"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_verified_is_told_in_one_message(write: Write, text: str, words: str) -> None:
    """With file and line, or with what is missing."""
    with pytest.raises(BadInput, match=re.escape(words)) as caught:
        adapt(write(text), EntranceWish())
    assert caught.value.remedy


def test_what_nobody_asks_for_is_told_in_one_message(write: Write) -> None:
    """A path, a host or a name that the file does not have."""
    path = write("chat.example.com {\n\thandle /v1/* {\n\t\treverse_proxy a:1\n\t}\n}\n")
    for wish, words in (
        (EntranceWish(path="/other"), "asked for --path /other"),
        (EntranceWish(host="other.org"), "Its names: chat.example.com."),
        (EntranceWish(upstreams=("b",)), "It does to a:1."),
    ):
        with pytest.raises(BadInput) as caught:
            adapt(path, wish)
        assert words in str(caught.value)


def test_odd_files_are_one_message(tmp_path: Path) -> None:
    """Binary, too large, or not there."""
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\x7fELF\xff\xfe")
    large.write_bytes(b"# x\n" * 2**21)
    for path in (binary, large, tmp_path / "missing"):
        with pytest.raises(BadInput, match=path.name):
            adapt(path, EntranceWish())
