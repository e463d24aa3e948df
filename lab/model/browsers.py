"""What a web page may not make a server on this machine's own address do.

Whoever opens a page lets it send requests to 127.0.0.1, in two ways. From its own origin a page asks a foreign one: the
browser says so in `Origin`, or, where it asks for a picture or goes to an address, in `Sec-Fetch-Site`. And the page's
own name may be pointed to 127.0.0.1 after it has come (DNS rebinding): then the request is no foreign one to the
browser, and only its `Host` shows the name.

Programs and gateways send any `Host`, so a name alone proves nothing. But a browser names in `Host` the port to which
it connects; a gateway that hands its client's `Host` on has another one, or none. So a public name with this server's
own port was pointed here.

Pure. A server on an open address is for other machines: it has a secret or obeys everybody, and asks none of this.

Sources: https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_DEFAULT_PORT = 80
_WEB = ("http", "https")


def is_loopback(host: str) -> bool:
    """Whether an address, or the name of one, leads nowhere but to this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def refusal(headers: Mapping[str, str], port: int) -> str:
    """Why a request to a loopback address is refused; empty where it is not.

    Args:
        headers: the request's, whatever the case of their names.
        port: the port on which this server listens.
    """
    host, origin = headers.get("Host", ""), headers.get("Origin")
    if _is_pointed_here(host, port):
        return f"Host: {host[:100]!r} is no name of this machine; ask for localhost, or serve with a secret"
    if origin is not None:
        if _may_ask(origin, host):
            return ""
        return f"Origin: {origin[:100]!r} is another site's, and web pages are obeyed from this machine only"
    # Whoever follows a link to a page here is shown that page.
    followed = headers.get("Sec-Fetch-Dest", "").lower() == "document"
    if headers.get("Sec-Fetch-Site", "").lower() == "cross-site" and not followed:
        return "Sec-Fetch-Site: another site's page asks, and web pages are obeyed from this machine only"
    return ""


def _is_pointed_here(host: str, port: int) -> bool:
    try:
        place = urlsplit(f"//{host}")
        name, named = (place.hostname or "").removesuffix("."), place.port
    except ValueError:
        return True
    if (_DEFAULT_PORT if named is None else named) != port:
        return False
    try:
        # No name server has a say in an address; but 0.0.0.0 leads here, and browsers take it for any other site.
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        # Nor in one that is written short, as 127.1, nor in a name without a dot.
        return "." in name and not name.rpartition(".")[2].isdigit() and not is_loopback(name)


def _may_ask(origin: str, host: str) -> bool:
    """Whether the page stands on this machine, or is the asked host's own; what is no web page may ask, too."""
    try:
        place = urlsplit(origin)
        if not place.scheme:
            return False
        return place.scheme not in _WEB or is_loopback(place.hostname or "") or place.netloc.lower() == host.lower()
    except ValueError:
        return False
