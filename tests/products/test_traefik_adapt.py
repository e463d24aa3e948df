"""A user's Traefik files as the lab runs them: what is replaced, what is not, and which router serves a request."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish
from lab.products.remedies import settings_of
from lab.products.traefik import PRODUCT
from lab.products.traefik.adapt import Traefik, adapt
from lab.products.traefik.source import SUFFIXES

FILES = Path(__file__).parents[1] / "verify" / "files" / "traefik"
EVERY = sorted(path.name for path in FILES.iterdir())

Write = Callable[..., Path]


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(**texts: str) -> Path:
        """Files by their names, with two underscores for the dot; the folder that has them."""
        for name, text in texts.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        return tmp_path

    return write


def one(adapter: Traefik) -> Entrance:
    """The only entrance."""
    (found,) = adapter.entrances
    return found


def copied(adapter: Traefik) -> Any:
    """The copy for the first entrance."""
    return yaml.safe_load(adapter.copy(adapter.entrances[0]))


def dynamic(router: str, rest: str = "") -> str:
    """A dynamic file with one router, which is for one server."""
    server = "{loadBalancer: {servers: [{url: 'http://m:8000'}]}}"
    return f"http:\n  routers:\n    r: {router}\n{rest}  services:\n    s: {server}\n"


STATIC = "entryPoints: {web: {address: ':80'}}\nproviders: {file: {filename: /etc/traefik/dynamic.yml}}\n"

STREAMING = {
    *("respondingTimeouts", "lifeCycle", "forwardingTimeouts", "maxIdleConnsPerHost", "fastProxy", "minVersion"),
    *("buffering", "compress", "retry", "errors", "headers", "stripPrefix", "replacePathRegex", "priority", "weight"),
    *("defaultRuleSyntax", "forwardedHeaders"),
}
"""Keys below which, or at which, everything bears on what is handed on and how."""


def leaves(node: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with the keys on its way."""
    if isinstance(node, dict) and node:
        for key, each in node.items():
            yield from leaves(each, (*keys, str(key)))
    elif isinstance(node, list) and any(isinstance(each, dict) for each in node):
        for number, each in enumerate(node):
            yield from leaves(each, (*keys, str(number)))
    else:
        yield keys, node


@pytest.mark.parametrize("name", EVERY)
def test_nothing_that_bears_on_streaming_is_touched(name: str) -> None:
    """Timeouts, buffers, compression, retries and headers of every file are in its copy as they are."""
    copy = dict(leaves(copied(adapt(FILES / name, EntranceWish()))))
    files = (
        [FILES / name]
        if (FILES / name).is_file()
        else [each for each in (FILES / name).rglob("*") if each.suffix in SUFFIXES]
    )
    for file in files:
        text = re.sub(r"\{\{ env \"OLLAMA_HOST\" \}\}", "ollama.example.com", file.read_text())
        data = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
        for keys, value in leaves(data):
            if STREAMING & set(keys):
                assert copy.get(keys) == value, keys


@pytest.mark.parametrize("name", EVERY)
def test_every_replacement_is_listed_with_its_place(name: str) -> None:
    """The line that is named is there, and says what is said of it."""
    adapter = adapt(FILES / name, EntranceWish())
    for entrance in adapter.entrances:
        for each in adapter.replacements(entrance):
            if not each.spot.text.startswith(("no static", "entry point")):
                assert each.spot.text in each.spot.file.read_text().split("\n")[each.spot.line - 1], each


def test_what_names_this_machine_or_its_neighbours_is_replaced() -> None:
    """Listeners, servers, certificates, logs, who may ask and how many, and what other providers have."""
    adapter = adapt(FILES / "edge", EntranceWish())
    first, second = adapter.entrances
    assert (first.path, first.host) == ("/llm/v1/chat/completions", "chat.example.com")
    assert (first.secure, first.http_2) == (True, True)
    assert "beta" in second.name
    assert [each.text for each in adapter.passed_over] == ["models:"]
    copy = copied(adapter)
    assert list(copy["entryPoints"]) == ["websecure"]
    assert copy["entryPoints"]["websecure"]["address"] == ":${PORT}"
    assert copy["entryPoints"]["websecure"]["http"]["tls"] == {}
    assert copy["entryPoints"]["websecure"]["transport"]["keepAliveMaxRequests"] == 1
    assert copy["providers"] == {"file": {"filename": "dynamic.yaml", "watch": False}}
    assert copy["accessLog"] == {}
    assert copy["tls"]["stores"]["default"]["defaultCertificate"]["certFile"] == "${CERTIFICATE}"
    # A router of which cannot be told whether it takes the request is left out, and so is one of another provider.
    assert set(copy["http"]["routers"]) == {"chat", "models", "token-stream-lab"}
    assert set(copy["http"]["middlewares"]) == {"strip-llm", "secure-headers"}
    assert copy["http"]["routers"]["chat"]["middlewares"] == ["strip-llm"]
    assert {each["url"] for each in copy["http"]["services"]["vllm"]["loadBalancer"]["servers"]} == {"http://${MODEL}"}
    text = adapter.copy(first)
    for word in (
        "10.0.8",
        "acme",
        "docker",
        "http3",
        "proxyProtocol",
        "sniStrict",
        "healthCheck",
        "insecureSkip",
        "/var",
    ):
        assert word not in text, word
    rule = yaml.safe_load(adapter.copy(second))["http"]["routers"]["beta"]
    assert rule["rule"] == "Path(`/llm/v1/chat/completions`)"
    # Its own was as long.
    assert rule["priority"] == len("Host(`chat.example.com`) && PathPrefix(`/llm/`) && Header(`X-Beta`, `1`)")


def test_toml_is_read_like_yaml() -> None:
    """With tables, dotted keys and lists of tables; a failover is left to the first, for the model fails on purpose."""
    adapter = adapt(FILES / "swarm", EntranceWish())
    entrance = one(adapter)
    assert (entrance.name, entrance.path, entrance.host, entrance.secure) == (
        *("router api at websecure", "/v1/chat/completions", "api.example.com"),
        True,
    )
    assert (entrance.spot.file.name, entrance.spot.line) == ("rules.toml", 2)
    copy = copied(adapter)
    assert copy["entryPoints"]["websecure"]["transport"]["respondingTimeouts"] == {
        "readTimeout": "2s",
        "idleTimeout": 180,
    }
    assert copy["http"]["services"]["litellm"] == {"weighted": {"services": [{"name": "first", "weight": 1}]}}
    assert copy["http"]["routers"]["api"]["middlewares"] == []
    spots = {each.spot.line: each for each in adapter.replacements(entrance) if each.spot.file.name == "rules.toml"}
    assert spots[5].why == "ops@swarm: another provider has it"
    assert spots[26].now == "url: http://${MODEL}"


def test_a_dynamic_file_alone_gets_an_entry_point() -> None:
    """The one that its router names; that it is made is listed."""
    adapter = adapt(FILES / "ollama", EntranceWish())
    entrance = one(adapter)
    assert entrance.host == "ollama.example.com"
    assert copied(adapter)["entryPoints"] == {"web": {"address": ":${PORT}", "transport": {"keepAliveMaxRequests": 1}}}
    listed = [str(each) for each in adapter.replacements(entrance)]
    assert any("no static configuration -> entryPoints: web (one is made)" in each for each in listed)
    assert any("with its value (a template's name)" in each for each in listed)
    assert [each.text for each in adapter.passed_over] == ["ui:"]


def test_pages_for_errors_are_nobodys() -> None:
    """With the model server in their place, its own error would come as the page."""
    services = copied(adapt(FILES / "error-pages", EntranceWish()))["http"]["services"]
    assert services["pages"]["loadBalancer"]["servers"] == [{"url": "http://127.0.0.1:1"}]
    assert services["chat"]["loadBalancer"]["servers"] == [{"url": "http://${MODEL}"}]


@pytest.mark.parametrize(
    ("setting", "name", "changes"),
    [
        (
            "writeTimeout: 0s",
            "write-timeout",
            ["-writeTimeout: 3s   # slow clients", "+writeTimeout: 0s   # slow clients"],
        ),
        (
            "responseHeaderTimeout: 600s",
            "header-timeout",
            ['-responseHeaderTimeout = "3s"', '+responseHeaderTimeout = "600s"'],
        ),
        (
            "responseHeaderTimeout: 600s",
            "gpu-timeout.yml",
            [
                "-forwardingTimeouts: {dialTimeout: 5s, responseHeaderTimeout: 3s}",
                "+forwardingTimeouts: {dialTimeout: 5s, responseHeaderTimeout: 600s}",
            ],
        ),
        ("# buffering", "prompt-limit.yml", ["-- prompts   # nobody sends more"]),
        ("# errors", "error-pages", ["-middlewares: [pages]", "+middlewares: []"]),
        (
            "retryNonIdempotentMethod: false",
            "retries.yml",
            ["-retryNonIdempotentMethod: true", "+retryNonIdempotentMethod: false"],
        ),
        ("# fastProxy", "fast-proxy", ["-experimental:", "-fastProxy:", "-debug: false"]),
        ("writeTimeout: 0s", "swarm", []),
        ("responseHeaderTimeout: 600s", "swarm", []),
    ],
)
def test_a_fix_changes_the_users_own_lines_and_no_others(setting: str, name: str, changes: list[str]) -> None:
    """In the file where they stand; nothing is proposed where it holds already."""
    adapter = adapt(FILES / name, EntranceWish())
    found = []
    for file, text in adapter.edit(one(adapter), (setting,)).items():
        compared = difflib.unified_diff(file.read_text().splitlines(), text.splitlines(), lineterm="", n=0)
        lines = [each for each in compared if not each.startswith(("---", "+++", "@@"))]
        found += [each[0] + each[1:].strip() for each in lines]
    assert found == changes
    spot = adapter.spot_of(one(adapter), setting)
    assert (spot is not None) is bool(changes)
    # What is proposed is what was run.
    assert (adapter.copy(one(adapter), (setting,)) != adapter.copy(one(adapter))) is bool(changes)


def test_a_timeout_of_the_entry_point_is_written_where_there_is_none(write: Write) -> None:
    """In TOML too, under a table of its own where none is there."""
    text = '[entryPoints.web]\naddress = ":80"\n\n[providers.file]\nfilename = "dynamic.yml"\n'
    adapter = adapt(
        write(traefik__toml=text, dynamic__yml=dynamic("{rule: PathPrefix(`/`), service: s}")), EntranceWish()
    )
    (changed,) = adapter.edit(one(adapter), ("keepAliveMaxRequests: 1",)).values()
    assert tomllib.loads(changed)["entryPoints"]["web"] == {"address": ":80", "transport": {"keepAliveMaxRequests": 1}}
    assert changed.startswith(text.rstrip())


@pytest.mark.parametrize(
    ("entry", "router", "secure"),
    [
        ("{address: ':80'}", "{rule: Host(`a.example.com`), service: s}", False),
        ("{address: ':443'}", "{rule: Host(`a.example.com`), service: s, tls: {}}", True),
        ("{address: ':443', http: {tls: {}}}", "{rule: Host(`a.example.com`), service: s}", True),
        ("{address: '127.0.0.1:80/tcp'}", "{rule: Host(`a.example.com`), service: s}", False),
    ],
)
def test_tls_is_spoken_where_traefik_would(write: Write, entry: str, router: str, secure: bool) -> None:
    """Where the router or its entry point says so."""
    static = STATIC.replace("{address: ':80'}", entry)
    assert one(adapt(write(traefik__yml=static, dynamic__yml=dynamic(router)), EntranceWish())).secure is secure


@pytest.mark.parametrize(
    ("middleware", "rule", "path"),
    [
        ("{stripPrefix: {prefixes: [/llm]}}", "PathPrefix(`/llm`)", "/llm/v1/chat/completions"),
        ("{stripPrefixRegex: {regex: ['/[a-z]+']}}", "PathPrefix(`/openai/`)", "/openai/v1/chat/completions"),
        ("{addPrefix: {prefix: /gpu}}", "PathPrefix(`/v1`)", "/v1/chat/completions"),
        ("{replacePath: {path: /v1/messages}}", "Path(`/v1/messages`)", "/v1/messages"),
        (
            "{replacePathRegex: {regex: '^/gw/(.*)', replacement: '/${1}'}}",
            "PathPrefix(`/gw/`)",
            "/gw/v1/chat/completions",
        ),
        # It is asked in clear text, so that nothing is sent elsewhere.
        ("{redirectScheme: {scheme: http}}", "PathPrefix(`/`)", "/v1/chat/completions"),
    ],
)
def test_a_router_is_asked_for_what_arrives_as_a_models(write: Write, middleware: str, rule: str, path: str) -> None:
    """Prefixes are stripped, added and replaced as Traefik does it."""
    rest = f"  middlewares:\n    m: {middleware}\n"
    text = dynamic(f"{{rule: '{rule}', service: s, middlewares: [m]}}", rest)
    adapter = adapt(write(traefik__yml=STATIC, dynamic__yml=text), EntranceWish())
    assert one(adapter).path == path


def test_the_router_of_highest_priority_serves(write: Write) -> None:
    """The longer rule, unless a priority is given; one that is never asked is no entrance."""
    server = "{loadBalancer: {servers: [{url: 'http://m:8000'}]}}"
    text = (
        "http:\n  routers:\n    wide: {rule: PathPrefix(`/`), service: s}\n"
        "    long: {rule: PathPrefix(`/v1/chat`), service: s}\n"
        f"    hidden: {{rule: Path(`/v1/chat/completions`), service: s, priority: 1}}\n  services: {{s: {server}}}\n"
    )
    adapter = adapt(write(traefik__yml=STATIC, dynamic__yml=text), EntranceWish())
    assert {each.name: each.path for each in adapter.entrances} == {
        "router wide at web": "/v1/messages",
        "router long at web": "/v1/chat/completions",
    }
    (asked,) = adapt(write(), EntranceWish(path="/v1/chat/completions")).entrances
    assert asked.name == "router long at web"


def test_an_upstream_is_named_by_service_or_server(write: Write) -> None:
    """Either leads to the router."""
    folder = write(traefik__yml=STATIC, dynamic__yml=dynamic("{rule: PathPrefix(`/`), service: s}"))
    for name in ("s", "m", "m:8000"):
        assert one(adapt(folder, EntranceWish(upstreams=(name,))))
    with pytest.raises(BadInput, match="no router leads there"):
        adapt(folder, EntranceWish(upstreams=("other",)))


@pytest.mark.parametrize("name", ["edge", "swarm", "retries.yml"])
def test_each_line_can_be_left_out_by_itself(name: str) -> None:
    """The copy without it is another one, and all else is in it."""
    adapter = adapt(FILES / name, EntranceWish())
    entrance = adapter.entrances[0]
    spots = adapter.lines(entrance)
    whole = set(map(str, leaves(yaml.safe_load(adapter.copy(entrance)))))
    assert spots
    for spot in spots:
        less = set(map(str, leaves(yaml.safe_load(adapter.copy(entrance, (), (spot,))))))
        assert whole - less, spot
        assert len(whole - less) <= 2, spot


def test_at_home_nobody_else_can_ask() -> None:
    """The entry point listens on loopback only."""
    adapter = adapt(FILES / "write-timeout", EntranceWish())
    text = PRODUCT.at_home(adapter.copy(one(adapter)), "/tmp/own")  # noqa: S108  # nothing is written
    assert "address: 127.0.0.1:${PORT}" in text


def test_the_labs_own_configurations_can_be_read() -> None:
    """Both files in one, as `lab prove` takes them; the settings that are tried hold in the recommended one already."""
    for path in (PRODUCT.default, PRODUCT.recommended):
        adapter = adapt(path, EntranceWish())
        copy = adapter.copy(one(adapter))
        for setting in settings_of(PRODUCT, 0.0):
            assert adapter.copy(one(adapter), (setting,)) == copy


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"traefik__yml": "entryPoints: [\n"}, "traefik.yml:2: "),
        ({"traefik__toml": "[entryPoints\n"}, "traefik.toml:1: "),
        ({"compose__yml": "services:\n  traefik:\n    image: traefik:v3.7\n"}, "is a compose file: its labels"),
        ({"route__yml": "apiVersion: traefik.io/v1alpha1\nkind: IngressRoute\n"}, "is a manifest of Kubernetes"),
        ({"x__yml": "server:\n  port: 1\n"}, "it is none of Traefik's"),
        ({"x__yml": "- 1\n"}, "it is no mapping"),
        ({}, "has no file of Traefik's"),
        (
            {"traefik__yml": STATIC},
            "traefik.yml:2: providers: {file: {filename: /etc/traefik/dynamic.yml}}: there is no",
        ),
        (
            {"traefik__yml": "entryPoints: {web: {address: ':80'}}\nproviders: {docker: {}}\n"},
            "it has no providers.file",
        ),
        ({"traefik__yml": "log: {}\nhttp: {}\n"}, "traefik.yml:2: http: {}: Traefik refuses this"),
        (
            {"d__yml": dynamic("{rule: 'Host(`a`', service: s}")},
            "d.yml:3: r: {rule: 'Host(`a`', service: s}: this is no rule",
        ),
        ({"d__yml": dynamic("{rule: 'Host(`a`, `b`)', service: s}")}, "Host takes one value"),
        ({"d__yml": dynamic("{rule: PathPrefix(`/`), service: s, middlewares: [gone]}")}, "there is no gone"),
        ({"d__yml": dynamic("{rule: PathPrefix(`/`), service: t}")}, "there is no t"),
        ({"d__yml": dynamic("{rule: PathPrefix(`/`), service: s, priorty: 1}")}, "Traefik knows no priorty there"),
        ({"d__yml": dynamic("{rule: PathPrefix(`/`), service: s@docker}")}, "no router leads to servers"),
        ({"d__yml": "http:\n  routers:\n{{ range $i, $e := until 3 }}\n    r: {}\n{{ end }}\n"}, "d.yml:3: {{ range"),
        (
            {"d__yml": dynamic('{rule: Host(`{{ env "NO_SUCH_NAME" }}`), service: s}')},
            'd.yml:3: {{ env "NO_SUCH_NAME" }} has no value here',
        ),
        ({"d__yml": "tls: {}\n"}, "there is no router of HTTP"),
    ],
)
def test_what_cannot_be_verified_is_told_in_one_message(write: Write, files: dict[str, str], words: str) -> None:
    """With file and line where there is one."""
    with pytest.raises(BadInput) as told:
        adapt(write(**files), EntranceWish())
    assert words in str(told.value)


def test_what_nobody_asks_for_is_told_in_one_message(write: Write) -> None:
    """A path that no router takes."""
    folder = write(d__yml=dynamic("{rule: Path(`/v1/messages`), service: s}"))
    with pytest.raises(BadInput, match="no router takes /v2 to a service"):
        adapt(folder, EntranceWish(path="/v2"))


def test_a_key_is_found_whatever_its_case(write: Write) -> None:
    """As Traefik does it."""
    text = dynamic("{Rule: PathPrefix(`/`), Service: s, EntryPoints: [WEB]}").replace("loadBalancer", "loadbalancer")
    static = STATIC.replace("entryPoints", "entrypoints").replace("web", "WEB")
    copy = copied(adapt(write(traefik__yml=static, dynamic__yml=text), EntranceWish()))
    assert copy["http"]["services"]["s"]["loadbalancer"]["servers"] == [{"url": "http://${MODEL}"}]
    assert copy["entryPoints"]["WEB"]["address"] == ":${PORT}"
