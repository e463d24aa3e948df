"""What an audit collects: one sample for each exchange, with the route it took and how it was asked.

A sample joins the setting (which route, which HTTP version, which content coding was offered, how many at once) to
the evidence. The measuring side writes samples and the drawing of conclusions reads them; between the two
there is nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.evidence import Evidence, HttpVersion

PATH, DIRECT = "path", "direct"
"""The names of the audited route and of the model's own address."""


@dataclass(frozen=True)
class Route:
    """One address under audit.

    Args:
        name: `path` for the audited URL, `direct` for the model's own address, else the hop's name.
        url: scheme, host, port and path of the endpoint; never a key.
    """

    name: str
    url: str


@dataclass(frozen=True)
class Setting:
    """How one exchange was asked for.

    Args:
        route: which address.
        http: the HTTP version that it was made in; where TLS agreed on another than was offered, that one.
        accept_encoding: the value of `Accept-Encoding`; empty where none was sent.
        at_once: how many exchanges ran at the same time, this one included.
        stream: whether a stream was asked for, or a batch reply.
    """

    route: Route
    http: HttpVersion = HttpVersion.HTTP_1_1
    accept_encoding: str = ""
    at_once: int = 1
    stream: bool = True


@dataclass(frozen=True)
class Sample:
    """One exchange of an audit: how it was asked for, and what came of it."""

    setting: Setting
    evidence: Evidence
