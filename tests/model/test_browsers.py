"""What a web page may not make a loopback server do, by the headers that it cannot choose."""

from __future__ import annotations

import pytest

from lab.model.browsers import is_loopback, refusal

PORT = 8000

OBEYED = {
    "an SDK": {"Host": "127.0.0.1:8000"},
    "an SDK by name": {"Host": "localhost:8000"},
    "an SDK by another name": {"Host": "lab.localhost.:8000"},
    "an SDK over IPv6": {"Host": "[::1]:8000"},
    "curl with a short address": {"Host": "127.1:8000"},
    "HTTP/1.0": {},
    "a name of this network": {"Host": "model:8000"},
    "another address, forwarded": {"Host": "192.168.1.5:8000"},
    "a gateway that hands the host on": {"Host": "gateway.example.com"},
    "the same with a port": {"Host": "gateway.example.com:8443"},
    "a page on another port of this machine": {"Host": "127.0.0.1:8000", "Origin": "http://localhost:3000"},
    "the same, as the browser sees it": {
        "Host": "127.0.0.1:8000",
        "Origin": "http://localhost:3000",
        "Sec-Fetch-Site": "cross-site",
    },
    "the page's own": {"Host": "[::1]:8000", "Origin": "http://[::1]:8000", "Sec-Fetch-Site": "same-origin"},
    "a page of the gateway's own": {"Host": "app.example.com", "Origin": "https://app.example.com"},
    "an editor's window": {"Host": "127.0.0.1:8000", "Origin": "vscode-webview://a1b2"},
    "an address that was typed": {"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "none"},
    "a link that was followed": {
        "Host": "127.0.0.1:8000",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Dest": "document",
    },
}

REFUSED = {
    "another site's page": ({"Host": "127.0.0.1:8000", "Origin": "https://evil.example"}, "Origin"),
    "the same by a name that looks alike": (
        {"Host": "localhost:8000", "Origin": "http://localhost.evil.example"},
        "Origin",
    ),
    "an origin that hides": ({"Host": "127.0.0.1:8000", "Origin": "null"}, "Origin"),
    "an origin that is none": ({"Host": "127.0.0.1:8000", "Origin": "http://[::1"}, "Origin"),
    "an empty origin": ({"Host": "127.0.0.1:8000", "Origin": ""}, "Origin"),
    "another site's page through a gateway": ({"Host": "localhost:8080", "Origin": "https://evil.example"}, "Origin"),
    "a name that was pointed here": ({"Host": "evil.example:8000"}, "Host"),
    "the same, and it asks its own": ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}, "Host"),
    "the same, of this machine's looks": ({"Host": "127.0.0.1.evil.example:8000"}, "Host"),
    "the address that browsers take for any site": ({"Host": "0.0.0.0:8000"}, "Host"),
    "the same of IPv6": ({"Host": "[::]:8000"}, "Host"),
    "a host that is none": ({"Host": "[::1:8000"}, "Host"),
    "a picture on another site's page": ({"Host": "127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"}, "Sec-Fetch-Site"),
}


@pytest.mark.parametrize("headers", OBEYED.values(), ids=OBEYED)
def test_programs_gateways_and_pages_from_here_are_obeyed(headers: dict[str, str]) -> None:
    """Whatever name they ask by, as long as it is none that a page could have pointed here."""
    assert refusal(headers, PORT) == ""


@pytest.mark.parametrize(("headers", "named"), REFUSED.values(), ids=REFUSED)
def test_other_sites_pages_are_refused(headers: dict[str, str], named: str) -> None:
    """And the header at fault is named."""
    assert refusal(headers, PORT).startswith(f"{named}: ")


def test_a_host_without_a_port_has_that_of_http() -> None:
    """A browser leaves out the 80 of a server that listens there."""
    assert refusal({"Host": "evil.example"}, 80).startswith("Host: ")
    assert refusal({"Host": "localhost"}, 80) == ""


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("a.localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - the point
        ("192.168.1.5", False),
        ("notlocalhost", False),
    ],
)
def test_which_addresses_lead_nowhere_else(host: str, loopback: bool) -> None:
    """Those are served without asking for a secret, and not to pages."""
    assert is_loopback(host) is loopback
