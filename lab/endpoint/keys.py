"""Keys: where they come from, where they may go, and how they are kept out of everything that is written.

A key comes from an environment variable or a file, never from the command line, where every user of the machine
could read it. A variable that was not asked for is used only for its vendor's own host. What an endpoint sends
back is masked before anything looks at it: same length, so that sizes and times stay what they were.

Warning: `Secret.plain` is the one place where a key is plain text; call it where the request is made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from lab.endpoint.mask import SHORTEST, Mask
from lab.errors import BadInput
from lab.files import read_whole
from lab.wire import format_named

_LONGEST = 8192
_VENDORS: Mapping[str, tuple[str, str]] = {
    "openai-chat": ("OPENAI_API_KEY", "api.openai.com"),
    "openai-responses": ("OPENAI_API_KEY", "api.openai.com"),
    "anthropic-messages": ("ANTHROPIC_API_KEY", "api.anthropic.com"),
}
_NOT_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "accept", "content-type", "te"}
)
_SECRET = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})
"""Headers in which keys travel."""
_HEADER_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Secret:
    """One secret request header; its value is in no repr.

    Args:
        header: the header's name.
        value: the header's value, such as `Bearer ...`.
        source: the variable or file that the key came from.
    """

    header: str
    value: SecretStr
    source: str

    def plain(self) -> tuple[str, str]:
        """The header as it is sent."""
        return self.header, self.value.get_secret_value()


@dataclass(frozen=True)
class Keys:
    """Every secret of one audit, and to which route it goes.

    Args:
        common: for every route that has no key of its own.
        own: by the route's name.
        further: other secret headers, for every route.
    """

    common: Secret | None = None
    own: Mapping[str, Secret] | None = None
    further: tuple[Secret, ...] = ()

    def of(self, route: str) -> tuple[Secret, ...]:
        """The secrets that go to this route."""
        key = (self.own or {}).get(route, self.common)
        return (*([key] if key else []), *self.further)

    @property
    def mask(self) -> Mask:
        """Masks all of them."""
        every = [self.common, *(self.own or {}).values(), *self.further]
        return Mask.of(secret.value.get_secret_value() for secret in every if secret is not None)


def read_keys(
    wire_format: str,
    urls: Mapping[str, str],
    *,
    key_env: Sequence[str] = (),
    key_file: Path | None = None,
    header_env: Sequence[str] = (),
    environment: Mapping[str, str],
) -> Keys:
    """Have every secret that was asked for, and make sure that none goes where it must not.

    Args:
        wire_format: the format's name, which says in which header a key goes.
        urls: the address of each route by its name; the first is the audited one.
        key_env: names of variables, `NAME` for all routes or `ROUTE=NAME` for one.
        key_file: a file that holds a key and nothing else.
        header_env: `Header=VARIABLE` for other secret headers.
        environment: the process's variables.

    Raises:
        BadInput: a variable or file is missing or unfit, or a key would leave in clear text.
    """
    named = [_named(entry, wire_format, urls, environment) for entry in key_env]
    own = {route: secret for route, secret in named if route}
    common = [_key(wire_format, _from_file(key_file), str(key_file))] if key_file else []
    common += [secret for route, secret in named if not route]
    if len(common) > 1:
        raise BadInput("more than one key for all routes", "Give one --key-env or --key-file, or --key-env ROUTE=NAME.")
    for route, url in urls.items():
        if not common and route not in own and (default := _default(wire_format, url, environment)):
            own[route] = default
    keys = Keys(common[0] if common else None, own, tuple(_header(entry, environment) for entry in header_env))
    for route, url in urls.items():
        if keys.of(route):
            refuse_clear_text(url)
    return keys


def _named(entry: str, wire_format: str, urls: Mapping[str, str], environment: Mapping[str, str]) -> tuple[str, Secret]:
    """One `--key-env`: the route that it is for, empty for all of them, and the key."""
    route, _, name = entry.rpartition("=")
    if route and route not in urls:
        # What stands there may be a key that was given by mistake, so it is not repeated.
        raise BadInput("--key-env: ROUTE=NAME names no route of this audit", f"There are: {', '.join(urls)}.")
    return route, _key(wire_format, _from_environment(name, environment, "--key-env"), name)


def refuse_clear_text(url: str) -> None:
    """Refuse to send a key over plain http to anything but this machine or a private address.

    Raises:
        BadInput: with the remedy.
    """
    place = urlsplit(url)
    if place.scheme == "https" or _is_near(place.hostname or ""):
        return
    raise BadInput(
        f"{place.hostname}: a key must not go over http in clear text",
        "Use the https address, or the private IP address itself where the network is your own.",
    )


def _is_near(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_link_local


def _default(wire_format: str, url: str, environment: Mapping[str, str]) -> Secret | None:
    """The vendor's usual variable, for the vendor's own host and nobody else."""
    name, home = _VENDORS.get(wire_format, ("", ""))
    place = urlsplit(url)
    host = place.hostname or ""
    at_home = place.scheme == "https" and bool(home) and (host == home or host.endswith(f".{home}"))
    if not at_home or not environment.get(name, "").strip():
        return None
    return _key(wire_format, environment[name], name)


def _key(wire_format: str, value: str, source: str) -> Secret:
    header, plain = format_named(wire_format).key_header(_checked(value, source))
    return Secret(header, SecretStr(plain), source)


def _header(entry: str, environment: Mapping[str, str]) -> Secret:
    header, equals, name = entry.partition("=")
    if not equals or not header or set(header.lower()) - _HEADER_CHARACTERS or header.lower() in _NOT_OURS:
        # What was given instead of a name may be a key, so it is not repeated.
        raise BadInput("--header-env: not Header=VARIABLE", "Write it like --header-env 'X-Gateway-Key=GATEWAY_KEY'.")
    value = _checked(_from_environment(name, environment, "--header-env"), name)
    return Secret(header, SecretStr(value), name)


def plain_header(entry: str) -> tuple[str, str]:
    """One `--header NAME=VALUE`, whose value is no secret and is masked nowhere.

    Raises:
        BadInput: it cannot stand in a request, or is one in which secrets travel.
    """
    header, equals, value = entry.partition("=")
    name = header.lower()
    if not equals or not header or set(name) - _HEADER_CHARACTERS or name in _NOT_OURS:
        raise BadInput("--header: not NAME=VALUE", "Write it like --header 'X-Provider=openai'.")
    if name in _SECRET:
        raise BadInput(
            f"--header {header}: a key must not stand on the command line", "Put it into a variable: --header-env."
        )
    if len(value) > _LONGEST or not value.isascii() or not value.isprintable():
        raise BadInput(f"--header {header}: one line of printable ASCII is expected", "Look at what it holds.")
    return header, value.strip()


def _from_environment(name: str, environment: Mapping[str, str], option: str) -> str:
    remedy = "Give the name of an environment variable that holds the key, never the key itself."
    if not name.replace("_", "").isalnum() or not name.isascii() or len(name) > 64:
        raise BadInput(f"{option}: that is no name of a variable", remedy)
    if name not in environment:
        # A key may look like a name; who gave one by mistake must not find it in a log.
        shown = f" {name}" if name.isupper() and "_" in name else " of that name"
        raise BadInput(f"{option}: there is no variable{shown}", remedy)
    return environment[name]


def _from_file(path: Path) -> str:
    try:
        return read_whole(path, _LONGEST, handed_over=True).decode("ascii")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", "Give a file that holds the key and nothing else.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: no key", "Give a file that holds the key and nothing else.") from None


def _checked(value: str, source: str) -> str:
    """A value that can stand in a header; no message ever repeats it."""
    value = value.strip()
    if not value:
        raise BadInput(f"{source} is empty", "Put the key into it.")
    if len(value) > _LONGEST or not value.isascii() or not value.isprintable():
        raise BadInput(f"{source} holds no key: one line of printable ASCII is expected", "Look at what it holds.")
    if len(value) < SHORTEST:
        raise BadInput(
            f"{source} holds fewer than {SHORTEST} characters, which cannot be kept out of what is written",
            "Leave the key out if the endpoint wants none, or give one that is longer.",
        )
    return value
