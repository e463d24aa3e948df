"""A user's Envoy files as the lab runs them: what is replaced, what is not, and which routes lead to the model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish
from lab.products.envoy import PRODUCT
from lab.products.envoy.adapt import Envoy, adapt
from lab.products.envoy.document import read_document
from lab.products.envoy.routes import Bootstrap

FILES = Path(__file__).parents[1] / "verify" / "files" / "envoy"

Write = Callable[[str], Path]

MANAGER = (
    '"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
)


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "envoy.yaml"
        path.write_text(text)
        return path

    return write


def one(adapter: Envoy) -> Entrance:
    """The only entrance."""
    (found,) = adapter.entrances
    return found


def routed(routes: str, domains: str = '["*"]', manager: str = "", clusters: str = "") -> str:
    """A bootstrap with one virtual host of these routes, and a cluster for each letter of `abc` that they name."""
    named = [each for each in "abc" if re.search(rf"\b{each}\b", routes)]
    endpoint = "{endpoint: {address: {socket_address: {address: %s.internal, port_value: 80}}}}"
    own = "".join(
        f"  - name: {each}\n    load_assignment:\n      cluster_name: {each}\n"
        f"      endpoints: [{{lb_endpoints: [{endpoint % each}]}}]\n"
        for each in named
    )
    return f"""\
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 0.0.0.0, port_value: 80}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          {MANAGER}
          stat_prefix: main
{manager}          route_config:
            virtual_hosts:
            - name: main
              domains: {domains}
              routes:
{routes}
  clusters:
{own}{clusters}"""


def without(mapping: dict[str, Any], names: str) -> dict[str, Any]:
    """A mapping without some of its keys."""
    return {key: value for key, value in mapping.items() if key not in names.split()}


def managers(bootstrap: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The connection managers of a bootstrap, by the prefix of their figures."""
    chains = [chain for each in bootstrap["static_resources"]["listeners"] for chain in each["filter_chains"]]
    configs = [each["typed_config"] for chain in chains for each in chain["filters"]]
    return {each["stat_prefix"]: each for each in configs if "HttpConnectionManager" in each["@type"]}


def routes_of(manager: dict[str, Any]) -> list[dict[str, Any]]:
    """What its routes do, but for whom else they tell."""
    routes = [route for host in manager["route_config"]["virtual_hosts"] for route in host["routes"]]
    return [
        {**without(each, "match name"), "route": without(each.get("route", {}), "request_mirror_policies")}
        for each in routes
    ]


def options_of(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cluster's requests obey, whichever version of HTTP they are in."""
    options = cluster.get("typed_extension_protocol_options", {}).values()
    return [without(each, "explicit_http_config auto_config") for each in options]


CLUSTER = (
    "type load_assignment eds_cluster_config dns_lookup_family circuit_breakers health_checks outlier_detection "
    "transport_socket typed_extension_protocol_options http2_protocol_options"
)
"""What the copy has otherwise of a cluster: whom it asks, how often at once, and over TLS."""

GONE = {f"envoy.filters.http.{name}" for name in ("jwt_authn", "ext_authz", "local_ratelimit")}


@pytest.mark.parametrize("file", sorted(FILES.glob("*.yaml")), ids=lambda file: file.stem)
def test_nothing_that_bears_on_streaming_is_touched(file: Path) -> None:
    """Timeouts, retries, buffers, compression, versions of HTTP and what routes do are in the copy as in the file."""
    adapter, own = adapt(file, EntranceWish()), yaml.safe_load(file.read_text())
    for entrance in adapter.entrances:
        copy = yaml.safe_load(adapter.copy(entrance))
        for name, manager in managers(copy).items():
            theirs = managers(own)[name]
            other = "access_log http_filters route_config tracing"
            assert without(manager, other) == without(theirs, other)
            assert manager["http_filters"] == [each for each in theirs["http_filters"] if each["name"] not in GONE]
            assert [each for each in routes_of(theirs) if each in routes_of(manager)] == routes_of(manager)
            hosts, their_hosts = (each["route_config"]["virtual_hosts"] for each in (manager, theirs))
            assert [without(each, "routes") for each in hosts] == [without(each, "routes") for each in their_hosts]
        for now, before in zip(*(each["static_resources"]["clusters"] for each in (copy, own)), strict=True):
            assert without(now, CLUSTER) == without(before, CLUSTER)
            assert options_of(now) == options_of(before)


def test_every_replacement_is_listed_with_its_place() -> None:
    """By file and line, with what stands there now."""
    file = FILES / "sidecar.yaml"
    adapter = adapt(file, EntranceWish())
    told = {each.spot.line: (each.spot.text, each.now) for each in adapter.replacements(one(adapter))}
    lines = file.read_text().splitlines()
    assert all(text.split("#")[0].strip() in lines[number - 1] for number, (text, _) in told.items())
    for words, now in (
        ("admin:", ""),
        ("circuit_breakers:", ""),
        ("health_checks:", ""),
        ("path: /var/log/envoy/access.log", "path: /dev/stdout"),
    ):
        number = next(number for number, line in enumerate(lines, 1) if line.strip().startswith(words))
        assert told[number][1] == now
    assert str(adapter.passed_over[0]).endswith("match: {prefix: /metrics}")


def test_of_tls_the_certificate_and_who_may_ask_are_replaced() -> None:
    """The chain of the host that leads to the model stays alone, with its versions of HTTP and TLS."""
    adapter = adapt(FILES / "edge-tls.yaml", EntranceWish())
    entrance = one(adapter)
    assert (entrance.host, entrance.secure, entrance.http_2) == ("chat.example.com", True, True)
    (listener,) = yaml.safe_load(adapter.copy(entrance))["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    tls = chain["transport_socket"]["typed_config"]
    assert set(tls) == {"@type", "common_tls_context"}
    file = {"filename": "${CERTIFICATE}"}
    assert tls["common_tls_context"] == {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [{"certificate_chain": file, "private_key": file}],
    }
    (manager,) = (each["typed_config"] for each in chain["filters"])
    assert [each["name"] for each in manager["http_filters"]] == ["envoy.filters.http.router"]


def test_a_server_that_speaks_another_protocol_is_asked_in_http_1_without_tls() -> None:
    """Its limits and options stay; a cluster whose endpoints are told elsewhere gets the model server."""
    adapter = adapt(FILES / "gateway.yaml", EntranceWish(upstreams=("qwen.internal",)))
    clusters = {
        each["name"]: each for each in yaml.safe_load(adapter.copy(one(adapter)))["static_resources"]["clusters"]
    }
    (options,) = clusters["qwen"]["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http_protocol_options": {}}
    assert "auto_config" not in options
    assert options["common_http_protocol_options"] == {"idle_timeout": "60s", "max_requests_per_connection": 100}
    assert "transport_socket" not in clusters["qwen"]
    assert clusters["llama-blue"]["type"] == "STRICT_DNS"
    model = {"socket_address": {"address": "${MODEL_HOST}", "port_value": "${MODEL_PORT}"}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": model}}]}]
    assert clusters["llama-blue"]["load_assignment"]["endpoints"] == endpoints


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ("{prefix: /}", "/v1/chat/completions"),
        ("{prefix: /v1/}", "/v1/chat/completions"),
        ("{prefix: /api/llm}", "/api/llm/v1/chat/completions"),
        ("{path_separated_prefix: /v1/messages}", "/v1/messages"),
        ("{path: /ask}", "/ask"),
        ("{safe_regex: {regex: '/gw/v1/(chat|embeddings).*'}}", "/gw/v1/chat/completions"),
        ("{prefix: /V1/CHAT, case_sensitive: false}", "/v1/chat/completions"),
    ],
)
def test_a_route_is_asked_for_what_its_clients_ask(write: Write, match: str, path: str) -> None:
    """A path that it takes: a model's own, else one below what it names."""
    routes = f"              - match: {match}\n                route: {{cluster: a}}"
    assert one(adapt(write(routed(routes)), EntranceWish())).path == path


@pytest.mark.parametrize(
    ("rewrite", "arrives"),
    [
        ("prefix_rewrite: /", "/v1/chat/completions"),
        ("prefix_rewrite: /llm/", "/llm/v1/chat/completions"),
        ("regex_rewrite: {pattern: {regex: ^/api/(.*)$}, substitution: '/\\1'}", "/v1/chat/completions"),
        ("regex_rewrite: {pattern: {regex: ^/api}, substitution: ''}", "/v1/chat/completions"),
    ],
)
def test_what_arrives_is_what_a_model_serves(write: Write, rewrite: str, arrives: str) -> None:
    """The path that is asked is one of a model's behind the route's rewriting: /api/chat would arrive as none."""
    path = write(routed(f"              - match: {{prefix: /api/}}\n                route: {{cluster: a, {rewrite}}}"))
    (route,) = Bootstrap(read_document(path)).routes
    assert one(adapt(path, EntranceWish())).path == "/api/v1/chat/completions"
    assert route.arriving("/api/v1/chat/completions") == arrives


ROUTES = """\
              - match: {prefix: /v1/, headers: [{name: x-team, present_match: true}]}
                route: {cluster: a}
              - match: {prefix: /v1/}
                route: {cluster: b}
              - match: {path: /v1/messages}
                route: {cluster: c}
              - match: {prefix: /}
                redirect: {path_redirect: /docs}"""


def test_every_route_that_can_be_reached_is_asked_by_itself(write: Write) -> None:
    """One whose condition is not of the path is asked without it, and does not stand in the way of those behind it."""
    adapter = adapt(write(routed(ROUTES)), EntranceWish())
    assert [each.name for each in adapter.entrances] == ["route prefix /v1/ to a", "route prefix /v1/ to b"]
    first, second = adapter.entrances
    for entrance, count in ((first, 4), (second, 3)):
        copy = yaml.safe_load(adapter.copy(entrance))
        manager = copy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        routes = manager["route_config"]["virtual_hosts"][0]["routes"]
        assert len(routes) == count
        assert routes[0]["match"] == {"prefix": "/v1/"}
        assert routes[0]["route"]["cluster"] == entrance.name[-1]
    told = [each.why for each in adapter.replacements(second)]
    assert any("cannot be told" in why for why in told)


def test_the_closest_host_is_the_one_that_is_asked(write: Write) -> None:
    """As Envoy chooses: the name itself, then the longest wildcard before it, then one behind it, then any."""
    text = routed("              - match: {prefix: /}\n                route: {cluster: a}", '["*"]')
    virtual = "            - {name: %s, domains: ['%s'], routes: [{match: {prefix: /}, route: {cluster: %s}}]}\n"
    hosts = (("x", "*.example.com", "b"), ("y", "chat.example.com", "c"), ("z", "chat.*", "d"))
    others = "".join(virtual % each for each in hosts)
    path = write(text.replace("            virtual_hosts:\n", f"            virtual_hosts:\n{others}"))
    for host, cluster in (
        ("chat.example.com", "c"),
        ("Chat.Example.com", "c"),
        ("eu.example.com", "b"),
        ("chat.org", "d"),
        ("other.org", "a"),
    ):
        assert one(adapt(path, EntranceWish(host=host))).name.endswith(f"to {cluster}")
    own = [each.host for each in adapt(path, EntranceWish()).entrances]
    assert own == ["chat.example.com", "chat.example.com", "chat.com", ""]


TIERS = """\
static_resources:
  listeners:
  - name: outer
    address: {{socket_address: {{address: 0.0.0.0, port_value: 80}}}}
    filter_chains: [{{filters: [{{name: http, typed_config: {{{manager}, stat_prefix: o, stream_idle_timeout: 3s,
      route_config: {{virtual_hosts: [{{name: o, domains: ["*"], routes: [
        {{match: {{prefix: /}}, route: {{cluster: inner, timeout: 0s}}}}]}}]}}}}}}]}}]
  - name: inner
    address: {inner}
    filter_chains: [{{filters: [{{name: http, typed_config: {{{manager}, stat_prefix: i,
      route_config: {{virtual_hosts: [{{name: i, domains: ["*"], routes: [
        {{match: {{prefix: /v1/}}, route: {{cluster: model}}}}]}}]}}}}}}]}}]
  clusters:
  - name: inner
    load_assignment: {{cluster_name: inner, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {asked}}}}}]}}]}}
  - name: model
    type: STRICT_DNS
    load_assignment: {{cluster_name: model, endpoints: [{{lb_endpoints: [{{endpoint: {{address:
      {{socket_address: {{address: gpu, port_value: 80}}}}}}}}]}}]}}
"""


@pytest.mark.parametrize(
    ("inner", "asked"),
    [
        (
            "{socket_address: {address: 127.1.1.1, port_value: 9}}",
            "{socket_address: {address: localhost, port_value: 9}}",
        ),
        ("{socket_address: {address: '::', port_value: 9}}", "{socket_address: {address: 127.0.0.1, port_value: 9}}"),
        ("{pipe: {path: /run/x.sock}}", "{pipe: {path: /run/x.sock}}"),
    ],
)
def test_two_tiers_of_one_file_still_find_each_other(write: Write, inner: str, asked: str) -> None:
    """The inner one is no entrance, and is asked by a socket of the copy's own; a setting holds in both."""
    path = write(TIERS.format(manager=MANAGER, inner=inner, asked=asked))
    adapter = adapt(path, EntranceWish())
    copy = yaml.safe_load(adapter.copy(one(adapter), ("timeout: 0s", "idle_timeout: 600s")))["static_resources"]
    socket = {"pipe": {"path": "/tmp/token-stream-lab-${PORT}-1.sock"}}  # noqa: S108 - in a container
    assert copy["listeners"][1]["address"] == socket
    assert copy["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] == socket
    assert copy["clusters"][0].get("type", "STATIC") == "STATIC"
    assert adapter.copy(one(adapter), ("timeout: 0s", "idle_timeout: 600s")).count("idle_timeout: 600s") == 2
    changed = adapter.edit(one(adapter), ("timeout: 0s",))[path]
    assert changed == path.read_text().replace("{cluster: model}", "{cluster: model, timeout: 0s}")
    assert "stream_idle_timeout: 3s" in str(adapter.spot_of(one(adapter), "idle_timeout: 600s"))


def test_a_fix_changes_the_users_own_lines_and_no_others(write: Write) -> None:
    """In the style of the place: a line of a block, a member between braces, the value of a key, beside comments."""
    text = routed(
        """\
              - match: {prefix: /v1/}   # the model
                route:
                  cluster: a  # one GPU
                  timeout: 5s # as ever

              # and the rest
              - match: {prefix: /}
                route: { cluster: b }""",
        manager="          stream_idle_timeout: 10s\n",
    )
    path = write(text)
    adapter = adapt(path, EntranceWish())
    first, second = adapter.entrances
    fix = ("timeout: 0s", "idle_timeout: 600s")
    assert adapter.edit(first, fix)[path] == text.replace(
        "timeout: 5s # as ever\n", "timeout: 0s # as ever\n                  idle_timeout: 600s\n"
    )
    added = "{ cluster: b, timeout: 0s, idle_timeout: 600s }"
    assert adapter.edit(second, fix)[path] == text.replace("{ cluster: b }", added)
    assert adapter.edit(first, ("retry_policy: {num_retries: 0}",)) == {}
    # What is written is what was run.
    copy = yaml.safe_load(adapter.copy(first, fix))
    manager = copy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    assert route == {"cluster": "a", "timeout": "0s", "idle_timeout": "600s"}


def test_a_filter_is_left_out_on_the_one_route_by_the_users_own_name() -> None:
    """Beside what the route has there already."""
    disabled = '{"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}'

    def added(name: str, kind: str) -> list[str]:
        file = FILES / f"{name}.yaml"
        adapter = adapt(file, EntranceWish())
        setting = f"typed_per_filter_config: {{envoy.filters.http.{kind}: {disabled}}}"
        (changed,) = adapter.edit(one(adapter), (setting,)).values()
        own = file.read_text().splitlines()
        return [line for line in changed.splitlines() if line not in own]

    assert added("lua-usage", "lua") == [f"                typed_per_filter_config: {{usage: {disabled}}}"]
    assert added("error-pages", "custom_response") == [
        f"                  envoy.filters.http.custom_response: {disabled}"
    ]


def test_a_block_is_replaced_as_a_whole() -> None:
    """With what only it had below it, and without the comments behind it."""
    file = FILES / "per-try.yaml"
    adapter = adapt(file, EntranceWish())
    (changed,) = adapter.edit(one(adapter), ("retry_policy: {num_retries: 0}",)).values()
    before, after = file.read_text().splitlines(), changed.splitlines()
    start = next(number for number, line in enumerate(before) if "retry_policy:" in line)
    assert after[start] == "                  retry_policy: {num_retries: 0}"
    assert after[:start] == before[:start]
    assert after[start + 1 :] == before[start + 6 :]


@pytest.mark.parametrize("name", ["idle.yaml", "quickstart.yaml", "sidecar.yaml", "edge-tls.yaml"])
def test_each_line_can_be_left_out_by_itself(name: str) -> None:
    """A key that has a line to itself, as it is in the file; without it the copy lacks that key and nothing else."""
    adapter = adapt(FILES / name, EntranceWish())
    for entrance in adapter.entrances:
        whole = yaml.safe_load(adapter.copy(entrance))
        own = (FILES / name).read_text().splitlines()
        assert adapter.lines(entrance)
        for spot in adapter.lines(entrance):
            assert spot.text in own[spot.line - 1]
            (gone,) = differences(whole, yaml.safe_load(adapter.copy(entrance, without=[spot])))
            assert gone == spot.text.partition(":")[0].strip("'\"")


def differences(whole: Any, less: Any) -> list[str]:
    """The keys that one tree has and the other lacks; anything else that differs is one too."""
    if isinstance(whole, dict) and isinstance(less, dict):
        gone = [key for key in whole if key not in less]
        return [*gone, *(one for key in less for one in differences(whole.get(key), less[key]))]
    if isinstance(whole, list) and isinstance(less, list) and len(whole) == len(less):
        return [one for pair in zip(whole, less, strict=True) for one in differences(*pair)]
    return [] if whole == less else [f"{whole} is {less}"]


def test_what_names_a_thing_is_no_line_that_can_be_left_out() -> None:
    """Nor is what the lab has replaced, or a key that shares its line."""
    adapter = adapt(FILES / "idle.yaml", EntranceWish())
    told = [each.text for each in adapter.lines(adapter.entrances[0])]
    assert {"stream_idle_timeout: 3s", "timeout: 0s"} <= set(told)
    assert not [text for text in told if text.startswith(("name", '"@type"', "cluster", "port_value", "address"))]


def test_at_home_nobody_else_can_ask() -> None:
    """As a local process it listens on loopback only."""
    adapter = adapt(FILES / "sidecar.yaml", EntranceWish())
    home = yaml.safe_load(PRODUCT.at_home(adapter.copy(one(adapter)), "/nowhere"))
    address = home["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert address == {"address": "127.0.0.1", "port_value": "${PORT}"}


def test_json_stays_json(tmp_path: Path) -> None:
    """A bootstrap may be written so; what is changed is JSON as well."""
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(yaml.safe_load((FILES / "quickstart.yaml").read_text()), indent=2))
    adapter = adapt(path, EntranceWish())
    changed = adapter.edit(one(adapter), ("timeout: 0s", "retry_policy: {num_retries: 0}"))[path]
    assert '"timeout": "0s"' in changed
    assert json.loads(changed) is not None


LUA = """\
          http_filters:
          - name: usage
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code: {filename: /etc/envoy/scripts/usage.lua}
          - name: grpc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
              proto_descriptor: /etc/envoy/chat.pb
              services: [chat.Chat]
"""
PAGE = "- match: {path: /away}\n  direct_response: {status: 503, body: {filename: /etc/envoy/away.html}}\n"


def test_a_file_of_its_own_is_put_in_where_it_is_beside_the_main_one(write: Write, tmp_path: Path) -> None:
    """A script may hold replies, so it counts; what is not there says nothing, and is listed."""
    path = write(routed(indent(f"{PAGE}- match: {{prefix: /}}\n  route: {{cluster: a}}", " " * 14), manager=LUA))
    script = "function envoy_on_response(handle)\n  handle:body()\nend\n"
    for there in (False, True):
        if there:
            (tmp_path / "scripts").mkdir()
            (tmp_path / "scripts" / "usage.lua").write_text(script)
        adapter = adapt(path, EntranceWish())
        copy = yaml.safe_load(adapter.copy(one(adapter)))
        (manager,) = managers(copy).values()
        (lua,) = manager["http_filters"]
        source = lua["typed_config"]["default_source_code"]
        assert source == {"inline_string": script if there else "-- nothing is here"}
        assert routes_of(manager)[0]["direct_response"]["body"] == {"inline_string": "-- nothing is here"}
        listed = "\n".join(map(str, adapter.replacements(one(adapter))))
        assert listed.count("left out (no such file is here)") == (2 if there else 3)
        assert ("usage.lua} -> its text (a file beside this one)" in listed) == there


def test_the_limit_of_a_body_is_the_nearest_one(write: Write) -> None:
    """A route's own goes before the filter's: it is what is named, and what has to be larger."""
    kind = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3."
    own = (
        "- match: {prefix: /}\n  route: {cluster: a}\n  typed_per_filter_config:\n    size:\n"
        f'      "@type": {kind}BufferPerRoute\n      buffer: {{max_request_bytes: 1024}}\n'
    )
    typed = f'{{"@type": {kind}Buffer, max_request_bytes: 2048}}'
    filters = f"          http_filters:\n          - name: size\n            typed_config: {typed}\n"
    setting = "max_request_bytes: 67108864"
    for routes, limit in ((own, "1024"), ("- match: {prefix: /}\n  route: {cluster: a}\n", "2048")):
        text = routed(indent(routes, " " * 14), manager=filters)
        path = write(text)
        adapter = adapt(path, EntranceWish())
        found = adapter.spot_of(one(adapter), setting)
        assert found is not None
        assert limit in found.text
        assert adapter.edit(one(adapter), (setting,)) == {path: text.replace(limit, "67108864")}


def test_names_of_a_template_get_their_values(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment; an address or a port needs none, since the lab puts its own there; none is written back."""
    route = "{cluster: a, timeout: ${LONGEST}}"
    text = routed(f"              - match: {{prefix: '${{BASE_PATH}}/'}}\n                route: {route}")
    path = write(text.replace("port_value: 80}}", "port_value: ${PORT}}}", 1).replace("a.internal", "${MODEL_HOST}"))
    monkeypatch.setenv("BASE_PATH", "/llm")
    with pytest.raises(BadInput, match=r"envoy.yaml:17: \$\{LONGEST\} .* has no value here"):
        adapt(path, EntranceWish())
    (path.parent / ".env").write_text("LONGEST=7s\n")
    adapter = adapt(path, EntranceWish())
    assert one(adapter).path == "/llm/v1/chat/completions"
    assert "timeout: 7s" in adapter.copy(one(adapter))
    changed = adapter.edit(one(adapter), ("timeout: 0s",))[path]
    assert changed == path.read_text().replace("${LONGEST}", "0s")


def test_what_this_envoy_does_not_know_is_left_out(write: Write) -> None:
    """An extension of another build, by the name that Envoy tells; a slip of the user's is told with its line."""
    shiny = "{name: shiny, typed_config: {'@type': type.googleapis.com/shiny.Filter}}"
    route = "              - match: {prefix: /}\n                route: {cluster: a, timout: 0s}"
    path = write(routed(route, manager=f"          http_filters: [{shiny}]\n"))
    adapter = adapt(path, EntranceWish())
    said = "Didn't find a registered implementation for 'shiny' with type URL: 'shiny.Filter'"
    assert adapter.leave_out(said)
    assert not adapter.leave_out(said)
    assert "shiny" not in adapter.copy(one(adapter))
    words = adapter.locate("in /copy/main.yaml: no such field:   'timout'", one(adapter), Path("/copy/main.yaml"))
    assert words.startswith(f"{path}:{text_line(path, 'timout')}: ")
    assert "/copy" not in words


def text_line(path: Path, words: str) -> int:
    """The number of the line that has these words."""
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if words in line)


BAD = {
    "no YAML": ("admin: {}\nstatic_resources: [}\n", "envoy.yaml:2"),
    "another product's": ("events {}\nhttp {}\n", "envoy.yaml"),
    "a list": ("- a\n", "no mapping"),
    "no listeners": ("admin: {}\n", "no `static_resources`"),
    "from a server": ("dynamic_resources: {lds_config: {ads: {}}}\n", "envoy.yaml:1: dynamic_resources"),
    "no connection manager": (
        "static_resources: {listeners: [{name: tcp, address: {pipe: {path: /x}}}]}\n",
        "envoy.yaml:1: static_resources",
    ),
    "routes from a server": (
        routed("").replace("          route_config:\n            virtual_hosts:", "          rds:\n            x:"),
        "envoy.yaml:11: rds:",
    ),
    "nothing behind": (
        routed("              - match: {prefix: /}\n                direct_response: {status: 200}"),
        "no route leads",
    ),
}


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD)
def test_what_cannot_be_verified_is_told_in_one_message(write: Write, text: str, words: str) -> None:
    """With file and line, or with what is missing."""
    with pytest.raises(BadInput, match=re.escape(words)) as caught:
        adapt(write(text), EntranceWish())
    assert caught.value.remedy


def test_what_nobody_asks_for_is_told_in_one_message(write: Write) -> None:
    """A path that no route takes, a host that none has, a name that nothing is called by."""
    path = write(
        routed("              - match: {prefix: /v1/}\n                route: {cluster: a}", "[chat.example.com]")
    )
    for wish, words in (
        (EntranceWish(path="/other"), "no route takes /other"),
        (EntranceWish(host="other.org"), "no route takes of other.org"),
        (EntranceWish(upstreams=("b",)), "They lead to a."),
    ):
        with pytest.raises(BadInput) as caught:
            adapt(path, wish)
        assert words in str(caught.value)


def test_odd_files_are_one_message(tmp_path: Path) -> None:
    """Binary, too large, not there, or a folder with two."""
    binary, large = tmp_path / "binary.yaml", tmp_path / "large.yaml"
    binary.write_bytes(b"\x7fELF\xff\xfe")
    large.write_bytes(b"# x\n" * 2**21)
    for path in (binary, large, tmp_path / "missing", tmp_path):
        with pytest.raises(BadInput, match=path.name):
            adapt(path, EntranceWish())
