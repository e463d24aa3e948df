"""What may be written as an address, and the routes that come of it."""

from __future__ import annotations

import pytest

from lab.endpoint.address import endpoint_of, endpoints_of
from lab.errors import BadInput


@pytest.mark.parametrize(
    ("url", "wire_format", "whole"),
    [
        ("https://h/v1/chat/completions", None, "https://h/v1/chat/completions"),
        ("https://H:8443/a/v1/messages?beta=1", None, "https://h:8443/a/v1/messages?beta=1"),
        ("https://h/v1", "openai-chat", "https://h/v1/chat/completions"),
        ("https://h/v1/", "openai-chat", "https://h/v1/chat/completions"),
        ("https://h", "anthropic-messages", "https://h/v1/messages"),
        ("https://h/gate/", "anthropic-messages", "https://h/gate/v1/messages"),
        ("https://h/my/own", "openai-chat", "https://h/my/own"),
        ("http://[::1]:8000/v1", "openai-chat", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_the_whole_endpoint_or_a_base(url: str, wire_format: str | None, whole: str) -> None:
    """The path names the format, or the format completes the path."""
    endpoint = endpoint_of("path", url, wire_format)
    assert endpoint.route.url == whole
    assert endpoint.origin + endpoint.target == whole


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:hunter22@h/v1/messages", "user name and password"),
        ("https://hunter22@h/v1/messages", "user name and password"),
        ("https://h/v1/messages?api_key=hunter22", "'api_key'"),
        ("https://h/v1/messages?token=hunter22", "'token'"),
        ("https://h/v1/messages#hunter22", "after #"),
        ("h/v1/messages", "neither http nor https"),
        ("ftp://h/v1/messages", "neither http nor https"),
        ("https:///v1/messages", "neither http nor https"),
        ("https://h:0/v1/messages", "port 0"),
        ("https://h:hunter22/v1/messages", "port is no number"),
        ("https://h:99999/v1/messages", "port is no number"),
        ("https://[::1/v1/messages", "host cannot be read"),
        ("https://h/v1/mess\nages", "characters that no address has"),
        ("https://h/" + "x" * 3000, "too long"),
        ("https://h/unknown", "names no wire format"),
        ("", "neither http nor https"),
    ],
)
def test_a_bad_address_is_refused_without_repeating_secrets(url: str, told: str) -> None:
    """One message with the remedy, in which nothing secret stands."""
    with pytest.raises(BadInput) as caught:
        endpoint_of("path", url, None)
    assert told in caught.value.problem
    assert caught.value.remedy
    assert "hunter22" not in str(caught.value)


def test_routes_stand_in_their_order() -> None:
    """The audited one first, then the hops as given, then the model's own address."""
    routes = endpoints_of(
        "https://h/v1/messages", direct="http://10.0.0.1:8000", hops=["gate=https://g/v1", "mesh=http://10.0.0.2/v1"]
    )
    assert [endpoint.route.name for endpoint in routes] == ["path", "gate", "mesh", "direct"]
    assert {endpoint.wire_format.name for endpoint in routes} == {"anthropic-messages"}
    assert routes[-1].route.url == "http://10.0.0.1:8000/v1/messages"


@pytest.mark.parametrize("hop", ["https://h/v1", "=https://h/v1", "path=https://h/v1", "direct=https://h/v1", "a b=x"])
def test_a_bad_hop_is_refused(hop: str) -> None:
    """A hop has a name of its own."""
    with pytest.raises(BadInput):
        endpoints_of("https://h/v1/messages", hops=[hop])


def test_hops_have_different_names() -> None:
    """Two hops of one name could not be told apart in the report."""
    with pytest.raises(BadInput, match="taken"):
        endpoints_of("https://h/v1/messages", hops=["a=https://h/v1", "a=https://i/v1"])


def test_an_unknown_format_names_those_there_are() -> None:
    """The remedy lists the formats."""
    with pytest.raises(BadInput, match="unknown wire format 'klingon'"):
        endpoint_of("path", "https://h/v1", "klingon")
