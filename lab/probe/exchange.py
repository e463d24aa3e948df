"""One exchange over one connection, measured: the lab's ruler.

Strategy: log first, parse after. Every read is kept with its time; a parser (`lab.probe.http1`, `lab.probe.http2`)
then takes the reply apart; every way of ending becomes a `TransportEnd`, so that `exchange` never raises on what
the network does. Rules that measurements taught:

- The clock is `time.monotonic`, not `loop.time`: uvloop's is cached a turn and counts in milliseconds.
- After RST the bytes that had come stay readable, but a transport whose *write* meets the RST drops them. What
  is left in the socket is therefore read by hand when the connection is lost.
- uvloop's connect fails with ECONNRESET when data and RST come before it looks; the probe connects
  a socket of its own, so that it can read that data too.
- Patience runs out only if nothing waits in the socket: on a busy machine a timer may come before
  the read that would have stopped it.
- On a busy machine the probe is late itself; `lab.pulse` notes when, so that no path is blamed for it.
- A few kilobytes of a coded body can stand for gigabytes, and whoever reads the trace undoes the coding again. So
  the body is measured as it comes (`lab.probe.gauge`), and what is beyond the limit is not kept.
- The event loops' own TLS does not tell close_notify from a bare FIN reliably; `lab.probe.tls` does.

Redirects are replies like any other and are never followed. Warning: what RST destroys in the *sender's* kernel has
never been on the way and is beyond any ruler.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from lab.errors import BadInput
from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.probe import connect
from lab.probe.conversation import Conversation
from lab.probe.framing import HttpRequest
from lab.probe.kept import rested
from lab.probe.terms import LIMIT, Enough, OnBody, OnHead, Patience, Terms, ignore
from lab.probe.tls import Tls, default_context
from lab.pulse import Pulse
from lab.wire.format import Ask

__all__ = ["LIMIT", "Enough", "Patience", "exchange", "ignore"]

Headers = Sequence[tuple[str, str]]

# The kernel's buffer of a slow reader, in bytes: a large one would hide the slowness from the other side.
_SMALL_BUFFER = 4096


async def exchange(
    url: str,
    ask: Ask,
    *,
    headers: Headers = (),
    patience: Patience | None = None,
    on_head: OnHead = ignore,
    on_body: OnBody = ignore,
    leave_after: float | None = None,
    tls: ssl.SSLContext | None = None,
    http: HttpVersion = HttpVersion.HTTP_1_1,
    pace: float | None = None,
    pause: float | None = None,
    kept: float | None = None,
    limit: int = LIMIT,
    most_lines: float = inf,
) -> Trace:
    """Send one request and record what comes back, to its end.

    Args:
        url: the route's address; the ask's path is appended to its own, and its query is kept.
        ask: path, headers and body of the request; an empty path asks for the URL itself.
        headers: further request headers; a Host among them stands for the URL's, in TLS too.
        patience: the probe's own timeouts.
        on_head: called with status and headers as soon as they are whole.
        on_body: called with time and bytes of the body that each read brought (chunking undone, content coding
            not) as it comes; `Enough` from it makes the probe leave, what else it raises, `exchange` raises.
        leave_after: seconds from the request after which the probe closes of its own accord.
        tls: for an https address; None verifies against the system's authorities. Its list of
            protocols is overwritten.
        http: the version. Over TLS, HTTP/2 is offered and the server may agree on HTTP/1.1; on a plain
            connection it is spoken without asking.
        pace: bytes a second that are read at most, on the average of each second; None for no limit.
        pause: seconds in which nothing is read, from the first bytes of the body on; None to read on.
        kept: seconds for which a plain connection rests after a short answer over it, before the request is sent over
            it; where the other side closes it meanwhile, over a new one. None for a new one anyway.
        limit: bytes of body that are kept, and that they may decode to; when more comes, the probe leaves.
        most_lines: lines of decoded body at which it leaves as well.

    Raises:
        BadInput: the address cannot be read, or a connection that is no plain one is to be kept.
    """
    place = connect.place_of(url, ask.path)
    request = request_to(place, ask, headers)
    terms = Terms(patience or Patience(), on_head, on_body, leave_after, limit, most_lines, pace, pause)
    if kept is not None and (place.secure or http is HttpVersion.HTTP_2):
        raise BadInput("only a plain connection of HTTP/1.1 is kept", "Ask over a new one, or without TLS.")
    layer = Tls(tls or default_context(), server_name(place, headers), http) if place.secure else None
    before = None if kept is None else await rested(place, kept, terms.patience.headers, _buffer(terms))
    conversation = Conversation(request, terms, http, layer)
    with Pulse.of_running_loop() as pulse:
        if await _open(place, conversation, terms, None if before is None else before.sock):
            await conversation.run()
    trace = conversation.trace()
    unkept = before is not None and before.sock is None and not before.announced
    return replace(trace, stalls=pulse.between(trace.started, trace.ended), unkept=unkept)


def request_to(place: connect.Place, ask: Ask, headers: Headers) -> HttpRequest:
    """The request; a Host among the further headers stands for the address's."""
    return HttpRequest(
        scheme="https" if place.secure else "http",
        authority=_host(headers) or place.authority,
        target=place.target,
        headers=(*ask.headers, *(pair for pair in headers if pair[0].lower() != "host")),
        body=ask.body,
        method=ask.method,
    )


def server_name(place: connect.Place, headers: Headers) -> str:
    """What a client over TLS calls the server."""
    return _host(headers).partition(":")[0] or place.host


def _host(headers: Headers) -> str:
    return next((value for name, value in headers if name.lower() == "host"), "")


def _buffer(terms: Terms) -> int | None:
    return _SMALL_BUFFER if terms.reads_slowly else None


async def _open(
    place: connect.Place, conversation: Conversation, terms: Terms, sock: socket.socket | None = None
) -> bool:
    """Connect, unless there is a connection; False if that was the end of it already."""
    patience = terms.patience
    try:
        async with asyncio.timeout(min(patience.connect, patience.total)):
            sock = sock or await connect.connected(place, _buffer(terms))
            try:
                await asyncio.get_running_loop().create_connection(lambda: conversation, sock=sock)
            except BaseException:
                sock.close()
                raise
    except TimeoutError:
        brief = patience.total < patience.connect
        conversation.end(TransportEnd.TOTAL_TIMEOUT if brief else TransportEnd.CONNECT_TIMEOUT, "")
    except connect.EarlyReset as reset:
        conversation.lose(reset.error, reset.rest)
    except (socket.gaierror, UnicodeError) as error:
        conversation.end(TransportEnd.UNRESOLVED, connect.words_of(error))
    except OSError as error:
        conversation.end(TransportEnd.REFUSED, connect.words_of(error))
    else:
        return True
    return False
