"""A user's HAProxy files as the lab runs them: what is replaced, what is not, and which ways lead to the model."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish
from lab.products.haproxy.adapt import HAProxy, adapt

Write = Callable[[str], Path]

WHOLE = """\
global
    log /dev/log local0 notice
    chroot /var/lib/haproxy
    stats socket /run/haproxy/admin.sock mode 660 level admin
    user haproxy
    group haproxy
    daemon
    maxconn 200000
    nbthread 64
    ca-base /etc/ssl/certs
    lua-load /etc/haproxy/script.lua
    tune.bufsize 16384

defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    errorfile 503 /etc/haproxy/errors/503.http

frontend plain
    bind *:80
    bind [::]:80 v6only
    http-request redirect scheme https unless { ssl_fc }

frontend chat
    bind 192.0.2.7:443,:::443 ssl crt /etc/haproxy/certs/ alpn h2,http/1.1 strict-sni  # public
    bind quic4@:443 ssl crt /etc/haproxy/certs/ alpn h3
    stick-table type ip size 1m expire 10s store http_req_rate(10s) peers lbs
    http-request track-sc0 src
    http-request deny deny_status 429 if { sc_http_req_rate(0) gt 20 }
    http-request auth realm x unless { http_auth(people) }
    http-request lua.check
    acl blocked src -f /etc/haproxy/blocked.lst
    http-request set-header X-Blocked 1 if blocked
    option http-buffer-request
    compression algo gzip
    default_backend model

peers lbs
    peer one 192.0.2.7:1024

backend model
    balance leastconn
    option httpchk GET /health
    default-server inter 3s maxconn 4
    http-reuse always
    timeout server 2m
    server a gpu1.internal:443 check ssl verify required ca-file ca.crt sni str(x) init-addr none weight 10
    server b 192.0.2.9:8000 check backup
"""


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "haproxy.cfg"
        path.write_text(text)
        return path

    return write


def one(adapter: HAProxy) -> Entrance:
    """The only entrance."""
    (found,) = adapter.entrances
    return found


def lines(text: str) -> list[str]:
    """The lines of a copy, without their indentation."""
    return [line.strip() for line in text.splitlines()]


def fronted(rules: str, *backends: str) -> str:
    """A frontend with these rules, and backends of these names."""
    tail = "".join(f"backend {name}\n    server s {name}.internal:80\n" for name in backends)
    return f"defaults\n    mode http\nfrontend f\n    bind :80\n    {rules}\n{tail}"


def test_what_names_this_machine_or_its_neighbours_is_replaced(write: Write) -> None:
    """Listeners, servers, certificates, users, logs and files; the frontend that only redirects is no entrance."""
    adapter = adapt(write(WHOLE), EntranceWish())
    entrance = one(adapter)
    copy = lines(adapter.copy(entrance))
    assert (entrance.path, entrance.secure, entrance.http_2) == ("/v1/chat/completions", True, True)
    assert entrance.spot.text == "backend model"
    for line in (
        "log stdout format raw local0",
        "bind :${PORT} ssl crt ${CERTIFICATE} alpn h2,http/1.1",
        "stick-table type ip size 1m expire 10s store http_req_rate(10s)",
        "acl blocked always_false",
        "default-server inter 3s",
        "server a ${MODEL} weight 10",
        "server b ${MODEL} backup",
    ):
        assert line in copy
    machine = ("chroot", "user", "group", "daemon", "nbthread", "/etc/", "/run/", "gpu1", "192.0.2", "200000")
    for word in (*machine, "quic", "peer", "resolvers", "deny", "auth", "lua"):
        assert not [line for line in copy if re.search(rf"(?<![\w-]){re.escape(word)}", line)], word


def test_nothing_that_bears_on_streaming_is_touched(write: Write) -> None:
    """Every other line stands in the copy as it does in the file, in its order."""
    adapter = adapt(write(WHOLE), EntranceWish())
    copy = adapter.copy(one(adapter))
    kept = """\
tune.bufsize 16384
mode http
log global
option httplog
timeout connect 5s
timeout client 50s
timeout server 50s
http-request track-sc0 src
option http-buffer-request
compression algo gzip
default_backend model
balance leastconn
option httpchk GET /health
http-reuse always
timeout server 2m""".splitlines()
    assert [line for line in lines(copy) if line in kept] == kept
    replaced = [each.spot.text for each in adapter.replacements(one(adapter))]
    streaming = re.compile("timeout|option|no |compression|tune|http-reuse|retr|balance|mode")
    assert not [text for text in replaced if streaming.match(text)]


def test_every_replacement_is_listed_with_its_place(write: Write) -> None:
    """And nothing else is otherwise: each line of the copy is the file's own, or is listed."""
    path = write(WHOLE)
    adapter = adapt(path, EntranceWish())
    told = adapter.replacements(one(adapter))
    assert f"{path}:3: chroot /var/lib/haproxy -> left out (the lab starts it, in the foreground)" in map(str, told)
    listed = {each.spot.line: each.now for each in told}
    copy = adapter.copy(one(adapter)).splitlines()
    for number, line in enumerate(WHOLE.splitlines(), 1):
        assert copy[number - 1].strip() == listed.get(number, line.strip())


def test_two_tiers_of_one_file_still_find_each_other(write: Write) -> None:
    """The inner one is no entrance, and is asked by a socket of this copy's own, in the words of the file."""
    text = """\
defaults
    mode http
    timeout client 9s
    timeout server 20m
frontend edge
    bind :443 ssl crt /etc/site.pem
    default_backend inside
backend inside
    server inner unix@/run/inner.sock send-proxy-v2
frontend inner
    bind unix@/run/inner.sock accept-proxy mode 600
    timeout client 2s
    default_backend model
backend model
    timeout server 3s
    server m model.internal:8000
"""
    path = write(text)
    adapter = adapt(path, EntranceWish())
    copy = lines(adapter.copy(one(adapter), ("timeout client 600s", "timeout server 600s")))
    (inner,) = (found[1] for line in copy if (found := re.match(r"bind (/tmp\S+\$\{PORT\}\S+) accept-proxy$", line)))
    assert f"server inner {inner} send-proxy-v2" in copy
    assert "server m ${MODEL}" in copy
    assert copy.count("timeout client 600s") == 2
    # The outer tier's is longer: it stays, and what is named is the inner one's.
    assert copy.count("timeout server 600s") == 1
    assert str(adapter.spot_of(one(adapter), "timeout server 600s")) == f"{path}:15: timeout server 3s"
    assert "timeout client 2s" not in copy
    assert one(adapter).name == "frontend edge backend inside frontend inner backend model"
    assert str(adapter.spot_of(one(adapter), "timeout client 600s")) == f"{path}:12: timeout client 2s"


@pytest.mark.parametrize(
    ("bind", "server"),
    [
        (":9000", "127.0.0.1:9000"),
        ("127.0.0.1:9000", "localhost:9000"),
        ("[::1]:9000", "ipv6@[::1]:9000"),
        ("192.0.2.7:9000", "192.0.2.7:9000"),
        ("/run/x.sock", "unix@/run/x.sock"),
        ("abns@x", "abns@x"),
        (":8080,:9000", "127.0.0.1:9000"),
    ],
)
def test_however_a_tier_is_named_it_is_the_files_own(write: Write, bind: str, server: str) -> None:
    """By port, address, socket, or as one of several."""
    text = f"""\
defaults
    mode http
listen outer
    bind :80
    server s {server}
listen inner
    bind {bind}
    server m gpu:8000
"""
    adapter = adapt(write(text), EntranceWish())
    assert one(adapter).name == "listen outer listen inner"


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        ("{ path_beg /v1/ }", "/v1/chat/completions"),
        ("{ path_beg /api/llm/ }", "/api/llm/v1/chat/completions"),
        ("{ path /v1/messages }", "/v1/messages"),
        ("{ path -i -m beg /LLM }", "/LLM/v1/chat/completions"),
        ("{ path_reg ^/gw/v1/(chat|embeddings) }", "/gw/v1/chat/completions"),
        ("{ path,lower /ask } || { method TRACE }", "/ask"),
        ("!{ path_beg /v1/chat }", "/v1/messages"),
    ],
)
def test_a_rule_is_asked_for_what_its_clients_ask(write: Write, condition: str, path: str) -> None:
    """A path that the rule takes to its backend: a model's own, else one below what the rule names."""
    assert one(adapt(write(fronted(f"use_backend a if {condition}", "a")), EntranceWish())).path == path


def test_path_and_host_choose_the_backend_as_haproxy_does(write: Write) -> None:
    """The first rule that applies; named ACLs of several lines, hosts, negations, and the default."""
    text = fronted(
        """acl api path_beg /v1
    acl api path /ask
    acl chat hdr(host) -i chat.example.com
    acl docs req.hdr(Host),lower,field(1,:) -m end .docs.example.com
    use_backend a if api chat
    use_backend b if docs or { hdr_dom(host) manual }
    use_backend c unless api
    default_backend d""",
        *"abcd",
    )
    path = write(text)
    for asked, host, backend in (
        ("/v1/messages", "chat.example.com", "a"),
        ("/ask", "Chat.example.com", "a"),
        ("/v1/messages", "eu.docs.example.com", "b"),
        ("/v1/messages", "my.manual.org", "b"),
        ("/other", "chat.example.com", "c"),
        ("/v1/messages", "other.org", "d"),
    ):
        assert one(adapt(path, EntranceWish(path=asked, host=host))).spot.text == f"backend {backend}"
    everything = adapt(path, EntranceWish()).entrances
    assert sorted(each.spot.text for each in everything) == [f"backend {name}" for name in "abcd"]
    assert one(adapt(path, EntranceWish(upstreams=("b.internal",)))).spot.text == "backend b"


def by_backend(adapter: HAProxy) -> dict[str, Entrance]:
    """The entrances, by the backend that each leads to."""
    return {each.spot.text: each for each in adapter.entrances}


UNTOLD = [
    "a if { src 10.0.0.0/8 }",
    "a if { nbsrv(a) gt 0 }",
    "a if { path_beg,url_dec /v1 }",
    "a if { path -f /etc/paths }",
    "a unless { var(txn.x) -m found }",
    "a if { req.hdr(accept) -m sub text/event-stream } { path_beg /v1/ }",
    "%[req.hdr(host),lower,map(/etc/haproxy/hosts.map,b)]",
    "%[path,map(hosts.map)]",
    "%[req.hdr(x-tenant)]",
]


@pytest.mark.parametrize("rule", UNTOLD)
def test_what_a_rule_leads_to_of_which_cannot_be_told_whether_it_applies_is_asked_too(write: Write, rule: str) -> None:
    """One copy has the way without the rule, the other the way that it leads; both say so."""
    adapter = adapt(write(fronted(f"use_backend {rule}\n    default_backend b", "a", "b")), EntranceWish())
    ways = by_backend(adapter)
    assert list(ways) == ["backend b", "backend a"]
    assert "use_backend" not in adapter.copy(ways["backend b"])
    assert "use_backend a" in lines(adapter.copy(ways["backend a"]))
    for each in ways.values():
        assert "cannot be told" in "".join(map(str, adapter.replacements(each)))


def test_a_backend_whose_name_the_request_makes_is_one_that_fits(write: Write) -> None:
    """What stands around the brackets stands around its name; a file of the map need not be there."""
    rules = "use_backend be_%[req.hdr(host),map(/etc/x.map)]_v1"
    ways = by_backend(adapt(write(fronted(rules, "be_chat_v1", "be_llm_v1", "web")), EntranceWish()))
    assert list(ways) == ["backend be_chat_v1", "backend be_llm_v1"]


@pytest.mark.parametrize("rule", ["a if METH_GET", "a if { method GET HEAD }", "a if { hdr(upgrade) -i websocket }"])
def test_a_rule_that_is_for_no_question_to_a_model_leads_nowhere(write: Write, rule: str) -> None:
    """Clients of models send POST, and upgrade to nothing."""
    found = adapt(write(fronted(f"use_backend {rule}\n    default_backend b", "a", "b")), EntranceWish())
    assert list(by_backend(found)) == ["backend b"]


def test_a_file_of_many_backends_is_read_at_once(write: Write) -> None:
    """Of hundreds each is asked, whatever names it: the host, what cannot be told, or a map."""
    names = [f"s{number}" for number in range(200)]
    hosts = [f"use_backend {each} if {{ hdr(host) {each}.example.com }}" for each in names[:100]]
    untold = [f"use_backend {each} if {{ var(txn.x) -m str {each} }}" for each in names[100:]]
    rules = "\n    ".join((*hosts, *untold, "use_backend %[req.hdr(host),map(/etc/x.map)]"))
    begun = time.process_time()
    adapter = adapt(write(fronted(rules, *names, "t")), EntranceWish())
    assert len(adapter.entrances) == len(names) + 1
    # It takes a second or two; each backend tried with each host and path would take minutes.
    assert time.process_time() - begun < 30


def test_a_backend_that_no_path_of_a_models_leads_to_is_passed_over(write: Write) -> None:
    """Pages, beside an API that has all its paths; unless a rule makes other paths of theirs, or nothing else is."""
    rules = "use_backend api if { path_beg /v1 /api }\n    default_backend pages"
    adapter = adapt(write(fronted(rules, "api", "pages")), EntranceWish())
    assert list(by_backend(adapter)) == ["backend api"]
    assert [each.text for each in adapter.passed_over] == ["backend pages"]
    rewriting = fronted(f"http-request set-path /v1/chat/completions if {{ path / }}\n    {rules}", "api", "pages")
    assert list(by_backend(adapt(write(rewriting), EntranceWish()))) == ["backend api", "backend pages"]
    alone = fronted("use_backend api if { path_beg /v1 /api }\n    default_backend pages", "pages")
    assert list(by_backend(adapt(write(alone), EntranceWish()))) == ["backend pages"]


def test_the_conditions_of_a_file_itself_stay_where_they_stand(write: Write) -> None:
    """`.if` and its like may be the first of a file, and stand around sections; HAProxy decides."""
    text = '.if version_atleast(3.0)\n.notice "new"\n.endif\n' + fronted("default_backend a", "a")
    adapter = adapt(write(text), EntranceWish())
    assert lines(adapter.copy(one(adapter)))[:3] == [".if version_atleast(3.0)", '.notice "new"', ".endif"]


def test_defaults_have_what_their_own_defaults_have(write: Write) -> None:
    """A section inherits from the one that it names, and that one from the one that it names."""
    text = """\
defaults base
    mode http
    timeout server 7s
defaults llm from base
    timeout client 1m
listen chat from llm
    bind :80
    server s m:1
"""
    adapter = adapt(write(text), EntranceWish())
    found = adapter.spot_of(one(adapter), "timeout server 600s")
    assert found is not None
    assert found.line == 3


def test_whatever_needs_a_file_or_a_neighbour_is_left_out(write: Write) -> None:
    """Maps by any name, lists that grow, tables of peers, resolvers of HAProxy's own client; FastCGI is no model's."""
    text = """\
global
    httpclient.resolvers.id dns
    zero-warning
defaults
    mode http
resolvers dns
    nameserver a 10.0.0.2:53
peers lbs
    table rates type ip size 1m store http_req_rate(10s)
frontend f
    bind :80
    http-request set-header X-Country %[src,map_ip(geo.map,XX)]
    http-request add-acl(/etc/seen.acl) %[src]
    http-request track-sc0 src table lbs/rates
    acl fast src_http_req_rate(lbs/rates) gt 100
    acl known src,map(virt@seen) -m found
    http-request set-header X-Note "a file name"
    use_backend php if { path_end .php }
    default_backend a
backend a
    server s m:1
backend php
    use-fcgi-app fpm
    server s php:9000 proto fcgi
fcgi-app fpm
    docroot /var/www
"""
    adapter = adapt(write(text), EntranceWish())
    assert list(by_backend(adapter)) == ["backend a"]
    copy = adapter.copy(one(adapter))
    for word in ("resolvers", "zero-warning", "geo.map", "seen.acl", "lbs", "use-fcgi-app"):
        assert word not in copy, word
    for line in (
        "acl fast always_false",
        "acl known src,map(virt@seen) -m found",
        'http-request set-header X-Note "a file name"',
    ):
        assert line in lines(copy)


def test_names_of_the_environment_get_their_values_between_double_quotes(write: Write, tmp_path: Path) -> None:
    """As in HAProxy, where one without a value is empty; what has one is listed."""
    (tmp_path / ".env").write_text("WAIT=90s\n")
    rules = """timeout client "${WAIT}"
    http-request set-header X-Wait '${WAIT}'
    http-request set-header X-Other "${NOT_SET_ANYWHERE}"
    default_backend a"""
    adapter = adapt(write(fronted(rules, "a")), EntranceWish())
    copy = lines(adapter.copy(one(adapter)))
    assert 'timeout client "90s"' in copy
    assert "http-request set-header X-Wait '${WAIT}'" in copy
    assert 'http-request set-header X-Other "${NOT_SET_ANYWHERE}"' in copy
    assert [each.why for each in adapter.replacements(one(adapter))].count("a name of the environment") == 1


def test_a_rule_that_sets_a_timeout_keeps_its_condition(write: Write) -> None:
    """`http-request set-timeout` goes before `timeout server`, so it is what has to be longer, wherever it stands."""
    text = """\
defaults
    mode http
frontend f
    bind :80
    default_backend b
backend b
    http-request set-timeout server 3s if { path_beg /v1 } # short
    http-request set-timeout server 1h if { path_beg /batch }
    timeout server 5m
    server s m:1
"""
    path = write(text)
    adapter = adapt(path, EntranceWish())
    setting = "http-request set-timeout server 600s"
    longer = text.replace("server 3s", "server 600s")
    assert adapter.edit(one(adapter), (setting,)) == {path: longer}
    assert f"{setting} if {{ path_beg /v1 }}" in lines(adapter.copy(one(adapter), (setting,)))
    assert str(adapter.spot_of(one(adapter), setting)).startswith(f"{path}:7: http-request set-timeout server 3s")
    without = adapt(write(fronted("default_backend a", "a")), EntranceWish())
    assert not without.edit(one(without), (setting,))


def test_a_setting_is_found_where_it_is_inherited_from(write: Write) -> None:
    """In the section, else in the defaults that it names or that stand before it; else the default holds."""
    text = """\
defaults one
    mode http
    timeout server 1s
    timeout client 1s
defaults two
    mode http
    timeout server 2s
    no option http-no-delay
frontend f from one
    bind :80
    default_backend b
backend b
    server s m:1
"""
    adapter = adapt(write(text), EntranceWish())
    found = {
        setting: adapter.spot_of(one(adapter), setting)
        for setting in ("timeout client 600s", "timeout server 600s", "option http-no-delay", "retries 0")
    }
    assert {name: spot and spot.line for name, spot in found.items()} == {
        "timeout client 600s": 4,
        "timeout server 600s": 7,
        "option http-no-delay": 8,
        "retries 0": None,
    }


def test_a_fix_changes_the_users_own_lines_and_no_others(write: Write) -> None:
    """Each setting where HAProxy takes it: the client's timeout in the frontend, the server's in the backend."""
    text = """\
defaults
  mode http
  option http-buffer-request

frontend f
  bind :80   # public
  timeout client 5s # as ever
  default_backend b

backend b
  # our model
  server s m:1
"""
    path = write(text)
    adapter = adapt(path, EntranceWish())
    fix = ("option http-no-delay", "timeout client 600s", "timeout server 600s", "no option http-buffer-request")
    changed = adapter.edit(one(adapter), fix)
    front = text.replace("timeout client 5s", "timeout client 600s").replace(
        "frontend f\n", "frontend f\n  no option http-buffer-request\n"
    )
    added = "  option http-no-delay\n  timeout server 600s\n  no option http-buffer-request\n"
    assert changed == {path: front.replace("backend b\n  #", f"backend b\n{added}  #")}
    # What is written is what was run.
    assert set(fix) <= set(lines(adapter.copy(one(adapter), fix)))
    assert "timeout client 5s # as ever" not in lines(adapter.copy(one(adapter), fix))


BAD = {
    "nothing": ("", "no frontend, listen or backend"),
    "another product's": ("events {}\nhttp {}\n", "haproxy.cfg:1: events {}"),
    "no servers": ("defaults\n mode http\nfrontend f\n bind :80\n default_backend b\nbackend b\n", "no server"),
    "no listener": ("backend b\n server s m:1\n", "no frontend and no listen"),
    "not HTTP": ("listen f\n bind :80\n server s m:1\n", "no `mode http`"),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_verified_is_told_in_one_message(write: Write, text: str, words: str) -> None:
    """With file and line, or with what is missing."""
    with pytest.raises(BadInput, match=re.escape(words)) as caught:
        adapt(write(text), EntranceWish())
    assert caught.value.remedy


def test_odd_files_are_one_message(tmp_path: Path) -> None:
    """Binary, too large, or not there."""
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\x7fELF\xff\xfe")
    large.write_bytes(b"# x\n" * 2**21)
    for path in (binary, large, tmp_path / "missing"):
        with pytest.raises(BadInput, match=path.name):
            adapt(path, EntranceWish())


def test_a_folder_is_read_in_the_order_of_its_files(tmp_path: Path) -> None:
    """As `-f folder` is: defaults of one file hold for the sections of the next."""
    (tmp_path / "00-defaults.cfg").write_text("defaults\n mode http\n timeout server 7s\n")
    (tmp_path / "10-chat.cfg").write_text("listen chat\n bind :80\n server s m:1\n")
    adapter = adapt(tmp_path, EntranceWish())
    assert str(adapter.spot_of(one(adapter), "timeout server 600s")).endswith("00-defaults.cfg:3: timeout server 7s")
    assert list(adapter.edit(one(adapter), ("retries 0",))) == [tmp_path / "10-chat.cfg"]


def test_what_this_haproxy_does_not_know_is_left_out(write: Write) -> None:
    """A keyword of another version or build; what HAProxy takes for a slip is the user's, as any other complaint."""
    text = fronted("brotli on\n    option shiny\n    default_backend a", "a")
    adapter = adapt(write(text), EntranceWish())
    slip = "parsing [/x:3] : unknown keyword 'timout' in 'defaults' section; did you mean 'timeout' maybe ?"
    assert not adapter.leave_out(slip)
    said = "parsing [/x:5] : unknown keyword 'brotli' in 'frontend' section\n[/x:6] : unknown option 'shiny'."
    assert adapter.leave_out(said)
    assert not adapter.leave_out(said)
    copy = adapter.copy(one(adapter))
    assert "brotli" not in copy
    assert "shiny" not in copy


def test_a_complaint_is_told_of_the_users_own_line(write: Write, tmp_path: Path) -> None:
    """The copy's lines are nobody's."""
    text = "# a comment\n\n" + fronted("default_backend a\n    retry-on sometimes", "a")
    path = write(text)
    adapter = adapt(path, EntranceWish())
    copy = adapter.copy(one(adapter)).splitlines()
    line = next(number for number, each in enumerate(copy, 1) if "retry-on" in each)
    ran = tmp_path / "copy/main.cfg"
    own = text.splitlines().index("    retry-on sometimes") + 1
    assert adapter.locate(f"parsing [{ran}:{line}] : no", one(adapter), ran) == f"parsing [{path}:{own}] : no"
