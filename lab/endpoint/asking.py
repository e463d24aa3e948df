"""One request to a user's endpoint: who is asked, with which secrets, and how long it may take.

The audit and the comparison ask through here, so that both keep to the same rules: a secret is in the request's
headers and nowhere else, a reply is masked before anything reads it, redirects are not followed, certificates are
verified, and every wait and every body has a limit.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from importlib.metadata import version

from lab.endpoint.address import Endpoint
from lab.endpoint.allowance import Allowance, limit_field
from lab.endpoint.bounds import most_bytes, most_lines
from lab.endpoint.keys import Keys
from lab.endpoint.samples import Sample, Setting
from lab.evidence import Evidence
from lab.probe.exchange import Patience, exchange, ignore
from lab.probe.terms import OnBody, OnHead
from lab.wire.format import Ask

_CONNECT = 15.0


@dataclass(frozen=True)
class RunTerms:
    """What holds for every request of a run.

    Args:
        keys: the secrets of each route.
        longest: seconds after which an answer that has not ended is left.
        tls: for https; None for the system's authorities.
        max_tokens: the limit on tokens of each request, beyond which a stream is left; what else may come of an answer
            follows from it (`lab.endpoint.bounds`).
        headers: further request headers, none of them secret.
    """

    keys: Keys
    longest: float
    tls: ssl.SSLContext | None
    max_tokens: int
    headers: tuple[tuple[str, str], ...] = ()


async def ask_endpoint(endpoint: Endpoint, setting: Setting, ask: Ask, terms: RunTerms) -> Sample:
    """Make one request and bring back what came, masked.

    Args:
        endpoint: where to ask.
        setting: how; the ask must want a stream if the setting does.
        ask: the request in the endpoint's wire format; its path is replaced by the endpoint's own.
        terms: what holds for every request of the run.
    """
    # Header values are plain here, and only here; nothing below keeps the request.
    secrets = [secret.plain() for secret in terms.keys.of(setting.route.name)]
    ours = [("User-Agent", f"token-stream-lab/{version('token-stream-lab')}")]
    if setting.accept_encoding:
        ours.append(("Accept-Encoding", setting.accept_encoding))
    listener: tuple[OnHead, OnBody] = (ignore, ignore)
    if setting.stream:
        name = limit_field(ask, terms.max_tokens)
        allowance = Allowance(endpoint.wire_format, terms.max_tokens, name)
        listener = allowance.on_head, allowance.on_body
    trace = await exchange(
        endpoint.origin,
        replace(ask, path=endpoint.target),
        headers=[*ours, *terms.headers, *secrets],
        patience=Patience(_CONNECT, terms.longest, terms.longest, terms.longest, terms.longest),
        tls=terms.tls if endpoint.secure else None,
        http=setting.http,
        limit=most_bytes(terms.max_tokens),
        most_lines=most_lines(terms.max_tokens),
        on_head=listener[0],
        on_body=listener[1],
    )
    evidence = Evidence(endpoint.wire_format.name, setting.stream, terms.keys.mask.trace(trace))
    return Sample(setting, evidence)
