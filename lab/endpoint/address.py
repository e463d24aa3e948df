"""Endpoints: what a user may write as an address, and the routes that an audit measures.

An address is either the whole endpoint (`https://host/v1/chat/completions`, whose path names the wire format) or a
base (`https://host/v1` with the format's name). Nothing secret may stand in it: user names and query fields that
are called like keys are refused, because addresses are printed, saved and seen by every user of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

from lab import wire
from lab.endpoint.samples import DIRECT, PATH, Route
from lab.errors import BadInput
from lab.wire.format import WireFormat

_SECRET_FIELDS = re.compile(r"(api|access|auth|subscription)?[-_]?(key|token|secret|password|signature|sig|code)", re.I)
_HOP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_LONGEST_ADDRESS = 2048

OWN = "sse"
"""The format in which an application streams whose path names none."""

_PATHS_OF_APPLICATIONS = ("ollama-chat", "ollama-generate")
"""Formats whose paths, `/api/chat` and `/api/generate`, applications use too and mean something of their own."""


@dataclass(frozen=True)
class Endpoint:
    """One route with the format that it speaks.

    Args:
        route: name and whole address.
        wire_format: the dialect.
        origin: scheme, host and port, which the probe connects to.
        target: path and query, as they stand in the request.
    """

    route: Route
    wire_format: WireFormat
    origin: str
    target: str

    @property
    def secure(self) -> bool:
        """Whether the route is asked over TLS."""
        return self.origin.startswith("https:")


def endpoints_of(
    url: str,
    *,
    wire_format: str | None = None,
    direct: str | None = None,
    hops: Sequence[str] = (),
    whole: bool = False,
) -> tuple[Endpoint, ...]:
    """The routes of an audit, the audited one first, then the hops in their order, then the model's own address.

    Args:
        url: the audited address.
        wire_format: the format's name; None where the path names it.
        direct: the model's own address.
        hops: `NAME=URL` each.
        whole: whether each address is the endpoint itself, of an application that speaks events in its own way, unless
            the path or `wire_format` names another format.

    Raises:
        BadInput: names the address and what is wrong with it.
    """
    first = endpoint_of(PATH, url, wire_format, whole=whole)
    name = first.wire_format.name
    routes = [first]
    for entry in hops:
        hop, equals, address = entry.partition("=")
        if not equals or not _HOP_NAME.fullmatch(hop):
            raise BadInput("--hop: not NAME=URL", "Write it like --hop gateway=https://gateway.example.com/v1.")
        if hop in {PATH, DIRECT} or hop in {endpoint.route.name for endpoint in routes}:
            raise BadInput(f"--hop {hop}: that name is taken", "Give each hop a name of its own.")
        routes.append(endpoint_of(hop, address, name, whole=whole))
    if direct is not None:
        routes.append(endpoint_of(DIRECT, direct, name, whole=whole))
    return tuple(routes)


def endpoint_of(name: str, url: str, wire_format: str | None, *, whole: bool = False) -> Endpoint:
    """One route; `whole` as in `endpoints_of`.

    Raises:
        BadInput: the address makes no sense, or holds what must not stand in it.
    """
    place = split_address(url)
    recognised = wire.format_for_url(url)
    if whole and (recognised is None or recognised.name in _PATHS_OF_APPLICATIONS):
        recognised = wire.format_named(OWN)
    chosen = recognised if wire_format is None else wire.format_named(wire_format)
    if chosen is None:
        raise BadInput(
            f"{_shown(place)}: the path names no wire format",
            f"Name it with --format: {', '.join(sorted(wire.FORMATS))}.",
        )
    whole = whole or (recognised is not None and recognised.name == chosen.name)
    path = place.path if whole else _joined(place.path, chosen.path)
    target = f"{path}?{place.query}" if place.query else path
    origin = f"{place.scheme.lower()}://{place.netloc.lower()}"
    return Endpoint(Route(name, origin + target), chosen, origin, target)


def _joined(base: str, path: str) -> str:
    """The endpoint's path below a base; a path that is no base is the endpoint itself.

    A base is empty, ends with a slash, or ends with what the format's own path begins with, such as `/v1`.
    """
    first, _, rest = path.strip("/").partition("/")
    bare = base.rstrip("/")
    if rest and bare.rpartition("/")[2] == first:
        return f"{bare}/{rest}"
    return bare + path if not bare or base.endswith("/") else base


def split_address(url: str) -> SplitResult:
    """Take an address apart.

    Raises:
        BadInput: it makes no sense, or holds what must not stand in it; does not repeat what may be secret.
    """
    example = "Write it like https://host/v1/chat/completions."
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > _LONGEST_ADDRESS:
        raise BadInput("the address holds characters that no address has, or is too long", example)
    try:
        place = urlsplit(url)
        port = place.port
    except ValueError as error:
        raise BadInput(f"the address makes no sense: {_reason(error)}", example) from None
    if "@" in place.netloc:
        raise BadInput(
            f"{place.hostname}: user name and password in an address are refused",
            "Put the header's value into a variable: --header-env 'Authorization=VARIABLE'.",
        )
    if place.scheme.lower() not in ("http", "https") or not place.hostname:
        raise BadInput("the address is neither http nor https", example)
    if port == 0:
        raise BadInput(f"{place.hostname}: port 0 is none", example)
    _refuse_secrets(place)
    return place


def _refuse_secrets(place: SplitResult) -> None:
    for field, _ in parse_qsl(place.query, keep_blank_values=True):
        if _SECRET_FIELDS.fullmatch(field):
            raise BadInput(
                f"{place.hostname}: the address holds a field {field!r}, and a key must not stand on the command line",
                "Send it as a header: --header-env 'Header=VARIABLE'.",
            )
    if place.fragment:
        raise BadInput(f"{place.hostname}: what stands after # is never sent", "Leave it out.")


def _reason(error: ValueError) -> str:
    """Why it cannot be taken apart, without the part of the address that Python quotes."""
    return "its port is no number from 1 to 65535" if "ort" in str(error) else "its host cannot be read"


def _shown(place: SplitResult) -> str:
    return f"{place.scheme}://{place.netloc}{place.path}"


def hosts(endpoints: Sequence[Endpoint]) -> Mapping[str, str]:
    """Each route's address by its name."""
    return {endpoint.route.name: endpoint.route.url for endpoint in endpoints}
