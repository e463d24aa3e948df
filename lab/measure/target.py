"""What an active audit measures, and with which secrets."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from lab.endpoint.address import Endpoint
from lab.endpoint.mask import Mask
from lab.measure.exchanges import Address
from lab.measure.questions import QuestionChannel
from lab.wire.format import DEFAULT_MODEL

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class AuditTarget:
    """What is audited, and with which secrets.

    Args:
        endpoint: the audited way.
        model_url: the model server's own address; None to reach it through the path.
        headers: request headers for the path, with secrets; no report has them.
        model_headers: the same for the side channel.
        model: the model that is asked for; gateways choose by it.
        mask: takes those secrets out of what comes back.
        tls: for https; None for the system's authorities.
        model_tls: the same for the side channel, and another object: the probe writes into `tls` which HTTP versions
            it offers, and the side channel speaks HTTP/1.1 only.
    """

    endpoint: Endpoint
    model_url: str | None = None
    headers: Pairs = field(default=(), repr=False)
    model_headers: Pairs = field(default=(), repr=False)
    model: str = DEFAULT_MODEL
    mask: Mask = field(default_factory=lambda: Mask(()))
    tls: ssl.SSLContext | None = None
    model_tls: ssl.SSLContext | None = None

    @property
    def side_url(self) -> str:
        """Where ledger and confirmations go."""
        return self.model_url or side_url_of(self.endpoint) or self.endpoint.route.url

    @property
    def questions(self) -> QuestionChannel:
        """The side channel by questions to the audited address itself."""
        endpoint = self.endpoint
        return QuestionChannel(
            endpoint.route.url, endpoint.wire_format, self.model, headers=self.headers, tls=self.model_tls
        )

    @property
    def address(self) -> Address:
        """Where exchanges go."""
        endpoint = self.endpoint
        return Address(
            url=endpoint.origin,
            model_url=self.side_url,
            wire_format=endpoint.wire_format,
            path=endpoint.target,
            headers=self.headers,
            tls=self.tls if endpoint.secure else None,
            model=self.model,
            in_message=True,
        )


def side_url_of(endpoint: Endpoint) -> str | None:
    """Where the model server's other addresses are, seen through the path.

    None where the path does not end as the wire format's own does, so that nobody knows where they are.
    """
    path = endpoint.target.partition("?")[0]
    if not path.endswith(endpoint.wire_format.path):
        return None
    return endpoint.origin + path.removesuffix(endpoint.wire_format.path)
