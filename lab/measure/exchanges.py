"""Makes the exchanges of a suite over an address, and brings back both ends' account of them."""

from __future__ import annotations

import ssl
import uuid
from dataclasses import dataclass, field, replace

from lab.directive import Directive
from lab.endpoint.bounds import planned_bytes, planned_lines
from lab.evidence import Evidence
from lab.probe.exchange import Patience
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.suite.exchange import Exchange
from lab.wire import format_named
from lab.wire.directive import in_message
from lab.wire.format import DEFAULT_MODEL, Ask, WireFormat
from lab.wire.openai_chat import FORMAT as OPENAI_CHAT

SPARE = 30.0
"""Seconds of patience beyond the planned length: no reply that is due comes later, on any machine."""

SETTLING = 6.0
"""Seconds that the ledger may take to be finished once an exchange is over."""

LEFT_BEHIND = 8.0
"""Seconds that a model may go on for a client that has left, and the ledger is waited for."""

_CONNECT = 15.0


@dataclass(frozen=True)
class Address:
    """Where exchanges go.

    Args:
        url: the entrance of the path, without the endpoint's own path.
        model_url: where ledger and confirmations go.
        wire_format: what is spoken where an exchange says nothing else.
        path: the endpoint's path and query; None for each wire format's own.
        headers: request headers that the path wants, such as keys; no message has them.
        tls: for https; None for the system's authorities.
        model: the model that is asked for.
        in_message: whether plan and id stand in the user's message too, for gateways that take headers out.
    """

    url: str
    model_url: str
    wire_format: WireFormat = OPENAI_CHAT
    path: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls: ssl.SSLContext | None = None
    model: str = DEFAULT_MODEL
    in_message: bool = False

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.url.startswith("https:")


async def make(exchange: Exchange, address: Address, channel: SideChannel, request: str | None = None) -> Evidence:
    """Make one exchange.

    Args:
        exchange: what to ask.
        address: whom.
        channel: to the model server.
        request: the request's id, which no other has; None for a made-up one.

    Raises:
        aiohttp.ClientError: the model server does not answer on the side channel.
        SideChannelFault: what answers there is no model server of the lab's.
    """
    request = request or uuid.uuid4().hex
    plan = exchange.plan
    pause = exchange.pause or 0.0
    patience = plan.length + plan.fault_delay + pause + SPARE
    return await observe(
        address.url,
        address.model_url,
        spoken(exchange, address),
        plan,
        stream=exchange.stream,
        headers=headers_of(exchange, address),
        patience=Patience(_CONNECT, patience, patience, patience, plan.longest + pause + SPARE),
        channel=channel,
        leave_after=exchange.leave_after,
        settling=SETTLING if exchange.leave_after is None else LEFT_BEHIND + SETTLING,
        tls=address.tls,
        http=exchange.http,
        pace=exchange.pace,
        pause=exchange.pause,
        kept=exchange.kept,
        ask=ask_of(exchange, address, request),
        request=request,
        limit=planned_bytes(plan),
        most_lines=planned_lines(plan),
    )


def spoken(exchange: Exchange, address: Address) -> WireFormat:
    """The wire format of an exchange with that target."""
    return format_named(exchange.wire_format) if exchange.wire_format else address.wire_format


def headers_of(exchange: Exchange, address: Address) -> tuple[tuple[str, str], ...]:
    """The headers that it has beside those of its wire format."""
    offered = (("Accept-Encoding", exchange.accept_encoding),) if exchange.accept_encoding else ()
    return (*address.headers, *exchange.headers, *offered)


def ask_of(exchange: Exchange, address: Address, request: str = "") -> Ask:
    """The request of an exchange: method, path, body, and the headers of its wire format; `request` is its id."""
    # A long conversation is a long prompt, whatever else the format has around it.
    prompt = "Count." + " and on" * (exchange.body_bytes // len(" and on") + 1) if exchange.body_bytes else "Count."
    if address.in_message:
        prompt = in_message(prompt, Directive(exchange.plan, request).to_query())
    limit = max(exchange.plan.tokens, 1)
    ask = spoken(exchange, address).ask(address.model, stream=exchange.stream, max_tokens=limit, prompt=prompt)
    ask = replace(ask, path=exchange.path or address.path or ask.path, method=exchange.method)
    if exchange.method != "GET":
        return ask
    headers = tuple(pair for pair in ask.headers if pair[0] != "Content-Type")
    return replace(ask, headers=headers, body=b"")
