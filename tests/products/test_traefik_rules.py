"""A router's rule takes the requests that Traefik's documentation says it takes."""

from __future__ import annotations

import pytest

from lab.products.traefik.rules import RuleRequest, parse_rule, sample_requests

PATH, HOST = "/v1/chat/completions", "chat.example.com"


@pytest.mark.parametrize(
    ("rule", "path", "host", "takes"),
    [
        ("Host(`chat.example.com`)", PATH, HOST, True),
        ("Host(`Chat.Example.com`)", PATH, HOST, True),
        ("Host(`www.example.com`)", PATH, HOST, False),
        ('Host("chat.example.com")', PATH, HOST, True),
        ("HostRegexp(`^[a-z]+\\.example\\.com$`)", PATH, HOST, True),
        ("HostRegexp(`^[a-z]+\\.example\\.org$`)", PATH, HOST, False),
        ("Path(`/v1`)", PATH, HOST, False),
        ("Path(`/v1/chat/completions`)", PATH, HOST, True),
        # Not by parts of the path: `/v1` is a prefix of `/v10` too.
        ("PathPrefix(`/v1`)", "/v10", HOST, True),
        ("PathRegexp(`^/v[12]/`)", PATH, HOST, True),
        ("PathRegexp(`completions$`)", PATH, HOST, True),
        ("Method(`POST`)", PATH, HOST, True),
        ("Method(`GET`)", PATH, HOST, False),
        ("Header(`X-Team`, `search`)", PATH, HOST, None),
        ("ClientIP(`10.0.0.0/8`)", PATH, HOST, None),
        ("!ClientIP(`10.0.0.0/8`)", PATH, HOST, None),
        ("!Path(`/v1`)", PATH, HOST, True),
        ("Path(`/v1`) && Header(`a`, `b`)", PATH, HOST, False),
        ("PathPrefix(`/v1`) && Header(`a`, `b`)", PATH, HOST, None),
        ("PathPrefix(`/v1`) || Header(`a`, `b`)", PATH, HOST, True),
        # `&&` binds more than `||`.
        ("Path(`/a`) && Path(`/b`) || PathPrefix(`/v1`)", PATH, HOST, True),
        ("Path(`/a`) && (Path(`/b`) || PathPrefix(`/v1`))", PATH, HOST, False),
        ("!(Path(`/a`) || Path(`/b`))", PATH, HOST, True),
        ("HostRegexp(`[`)", PATH, HOST, None),
    ],
)
def test_a_rule_of_version_3(rule: str, path: str, host: str, takes: bool | None) -> None:
    """True, false, or not to be told."""
    found = parse_rule(rule)
    assert found is not None
    assert found.holds(RuleRequest(path, host)) is takes


@pytest.mark.parametrize(
    ("rule", "path", "takes"),
    [
        ("Host(`www.example.com`, `chat.example.com`)", PATH, True),
        ("Host(`a.example.com`,`b.example.com`)", PATH, False),
        ("HostRegexp(`{team:[a-z]+}.example.com`)", PATH, True),
        ("HostRegexp(`{team:[0-9]+}.example.com`)", PATH, False),
        ("PathPrefix(`/v1`, `/v2`)", PATH, True),
        ("PathPrefix(`/{version:v[0-9]+}/chat`)", PATH, True),
        ("Path(`/{version}/chat`)", PATH, False),
        ("Path(`/v1/{rest:.*}`)", PATH, True),
        ("Method(`GET`, `POST`)", PATH, True),
        ("Headers(`X-Team`, `search`)", PATH, None),
    ],
)
def test_a_rule_of_version_2(rule: str, path: str, takes: bool | None) -> None:
    """Of several values one has to fit, and braces hold a part with its expression."""
    found = parse_rule(rule, second=True)
    assert found is not None
    assert found.holds(RuleRequest(path, HOST)) is takes


@pytest.mark.parametrize(
    "rule",
    ["", "Host(`a`", "Host(`a`) &&", "Host(`a`) Host(`b`)", "Hots(`a`)", "Host('a')", "Host", "&& Host(`a`)", ")"],
)
def test_what_is_no_rule_is_none(rule: str) -> None:
    """Traefik does without the router."""
    assert parse_rule(rule) is None


@pytest.mark.parametrize(
    ("rule", "second", "path", "host"),
    [
        ("Host(`llm.example.com`) && PathPrefix(`/openai`)", False, "/openai/v1/chat/completions", "llm.example.com"),
        ("HostRegexp(`^.+\\.llm\\.example\\.com$`)", False, PATH, "chat.llm.example.com"),
        ("PathRegexp(`^/team-[0-9]+/v1/`)", False, "/team-1/v1/chat/completions", ""),
        ("PathPrefix(`/{team:[a-z]+}/`)", True, "/chat/v1/chat/completions", ""),
        ("Path(`/api/generate`)", False, "/api/generate", ""),
        ("Host(`a.example.com`) || Host(`b.example.com`)", False, PATH, "a.example.com"),
        ("ClientIP(`10.0.0.0/8`)", False, PATH, ""),
    ],
)
def test_a_rule_is_asked_for_what_its_clients_ask(rule: str, second: bool, path: str, host: str) -> None:
    """The first request that it is guessed to be for, and that it takes."""
    found = parse_rule(rule, second=second)
    assert found is not None
    taken = [each for each in sample_requests(found, "", "") if found.holds(each) is not False]
    assert RuleRequest(path, host) == taken[0]
