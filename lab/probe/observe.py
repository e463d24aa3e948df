"""Brings back both ends of one exchange: what the probe saw and what the model server did."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterable
from contextlib import AsyncExitStack
from math import inf
from urllib.parse import urlsplit

from lab.evidence import Evidence, HttpVersion
from lab.plan import PLAN_HEADER, REQUEST_HEADER, Plan
from lab.probe.exchange import LIMIT, Patience, exchange, ignore
from lab.probe.lockstep import Lockstep
from lab.probe.side_channel import SideChannel
from lab.probe.tries import that_answered
from lab.wire.format import Ask, WireFormat

# What a proxy may take to tell the model server that the client has gone, beyond any machine's delay.
SETTLING = 5.0
# A request that has not reached the model server half a second after its exchange was over never will.
_ARRIVAL = 0.5
# The last health check before an exchange; by default balancers ask more often than this.
_EARLIER = 120.0


async def observe(
    route_url: str,
    model_url: str,
    wire_format: WireFormat,
    plan: Plan,
    *,
    stream: bool = True,
    headers: Iterable[tuple[str, str]] = (),
    patience: Patience | None = None,
    channel: SideChannel | None = None,
    leave_after: float | None = None,
    settling: float = SETTLING,
    tls: ssl.SSLContext | None = None,
    http: HttpVersion = HttpVersion.HTTP_1_1,
    pace: float | None = None,
    pause: float | None = None,
    kept: float | None = None,
    ask: Ask | None = None,
    request: str | None = None,
    limit: int = LIMIT,
    most_lines: float = inf,
) -> Evidence:
    """Run one plan over a route and collect the evidence.

    Args:
        route_url: the proxy's address (or the model server's own, for a route without hops).
        model_url: the model server's address for the side channel.
        wire_format: the dialect to ask in.
        plan: what the model server is to do.
        stream: whether to ask for a stream or a batch reply.
        headers: further request headers, such as `Accept-Encoding: gzip`.
        patience: the probe's own timeouts.
        channel: an open side channel to share; one is opened for the call otherwise.
        leave_after: seconds after which the probe leaves.
        settling: seconds that the ledger may take to be finished once the exchange is over.
        tls: as for `exchange`.
        http: the same.
        pace: the same.
        pause: the same.
        kept: the same.
        ask: the request; None for the one that a client of the wire format makes.
        request: the request's id, which no other has; None for a made-up one.
        limit: as for `exchange`.
        most_lines: the same.

    Raises:
        aiohttp.ClientError: the model server does not answer on the side channel.
        SideChannelFault: what answers there is no model server of the lab's.
    """
    request = request or uuid.uuid4().hex
    ask = ask or wire_format.ask("lab", stream=stream, max_tokens=max(plan.tokens, 1))
    ours = ((PLAN_HEADER, plan.to_query()), (REQUEST_HEADER, request))
    async with AsyncExitStack() as stack:
        side = await stack.enter_async_context(SideChannel(model_url)) if channel is None else channel
        # Measured before, so that it costs the exchange nothing.
        await side.offset()
        driver = Lockstep(wire_format, side, request, plan.tokens) if plan.lockstep and stream else None
        try:
            trace = await exchange(
                route_url,
                ask,
                headers=(*headers, *ours),
                patience=patience,
                on_head=driver.on_head if driver else ignore,
                on_body=driver.on_body if driver else ignore,
                leave_after=leave_after,
                tls=tls,
                http=http,
                pace=pace,
                pause=pause,
                kept=kept,
                limit=limit,
                most_lines=most_lines,
            )
        finally:
            if driver is not None:
                await driver.aclose()
        attempts = await side.settled(request, plan, settling, arrival=_ARRIVAL)
        refusals = () if attempts else await side.refusals(request)
    return Evidence(
        wire_format.name,
        stream,
        trace,
        plan=plan,
        ledger=that_answered(attempts, trace, wire_format, stream=stream),
        confirmed=driver.confirmed if driver else {},
        path=urlsplit(ask.path).path,
        refusals=tuple(each for each in refusals if each.at > trace.started - _EARLIER),
    )
