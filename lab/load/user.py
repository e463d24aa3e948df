"""A stream of tokens as a Locust user, for `lab load` and for locustfiles of your own.

    from lab.load.user import RequestTerms, StreamUser

    class Reader(StreamUser):
        plan = "tokens=60&interval=1s&stamp=clock"
        terms = RequestTerms(model="llama", headers=(("Authorization", "Bearer ..."),))

Each stream is one request over a connection of its own; the probe's parser takes the reply apart and the judge says how
it ended. What Locust's statistics then have, in milliseconds:

    STREAM asked        one for each request; 0
    STREAM streamed     one for each that had a first token, at its end; 0
    STREAM refused      one for each that had no connection, or an error status; 0
    STREAM coded        one for each that came with a content coding; 0
    STREAM queued       one for each request that came to the model server late; 0
    STREAM <ending>     how long it took; every ending but `complete` is a failure
    TOKEN  first        from the request to the first token
    TOKEN  gap          from one token's arrival to the next one's
    TOKEN  late         from a token's leaving the model server, by its own stamp, to its arrival
    MODEL  late         by how much a token left after its time, counted from the first
    STREAM not-opened   this machine had no file or port for it; a failure, and none of the path's
    LOAD   late         by how much this process missed its own times

Lateness needs the stamp `clock`, and clocks that agree where load and model server are on different machines. A buffer
cannot improve it: what is held is late, however even the gaps are after it.
"""

from __future__ import annotations

import errno
import random
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from http import HTTPStatus

from locust import User, constant, task

from lab.endpoint.address import endpoint_of
from lab.endpoint.samples import PATH
from lab.evidence import Evidence, Read, Trace, TransportEnd
from lab.judge.doubt import LONGEST_WAIT
from lab.judge.endings import Reading, ending_of
from lab.load.figures import NOT_OPENED
from lab.load.terms import RequestTerms
from lab.plan import PLAN_HEADER, Plan, plan_from_query
from lab.probe import tls
from lab.probe.body import BodyReader
from lab.probe.connect import place_of, words_of
from lab.probe.exchange import request_to, server_name
from lab.probe.framing import Head, ReplyEnd
from lab.probe.http1 import Http1
from lab.testbed.certificate import trusting_any
from lab.vocabulary import Ending
from lab.wire import format_for_url
from lab.wire.openai_chat import FORMAT as OPENAI_CHAT
from lab.wire.tokens import Stamp

CONNECT, SPARE = 15.0, 30.0
"""Seconds of patience for a connection, and for a silence beyond the longest that is planned."""

LACKING = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""What the system says to a connection for which this machine has no file, no port or no room."""

_READ_SIZE = 64 * 1024
# Seconds; whoever stops the load ends it.
_IDLE = 60.0


class StreamUser(User):
    """One stream after the other, each of `plan`, from `host`, the address with the endpoint's path or without it.

    With `once` a user asks once and is idle then, so that Locust's users are streams and its spawn rate is that of
    arrivals. If it left, Locust would send another in its place while the others are still to come.
    """

    abstract = True
    wait_time = constant(0)
    plan = "tokens=20&interval=1s&stamp=clock"
    terms = RequestTerms()
    once = False

    @task
    def stream(self) -> None:
        """Ask for a stream and read it to its end."""
        if self.once:
            # Locust begins a second's users together; arrivals are spread over it.
            self._sleep(random.random())  # no secret
        try:
            self._ask()
        finally:
            while self.once:
                time.sleep(_IDLE)

    def _ask(self) -> None:
        """One stream; nothing of it is left when it is over."""
        self._log("STREAM", "asked", 0.0)
        stream = LoadStream(self.host or "", plan_from_query(self.plan), self.terms)
        for name, milliseconds in stream.lateness():
            self._log(*name, milliseconds)
        if stream.began:
            self._log("STREAM", "streamed", 0.0)
        elif stream.refused:
            self._log("STREAM", "refused", 0.0)
        if stream.coded:
            self._log("STREAM", "coded", 0.0)
        ending = NOT_OPENED if stream.lacking else ending_of(Reading.of(stream.evidence()))
        took = 1e3 * (stream.ended - stream.started)
        # In words: workers would send any other form as code that makes it.
        failure = None if ending is Ending.COMPLETE else f"{ending}: {stream.detail}"
        self.environment.events.request.fire(
            request_type="STREAM",
            name=str(ending),
            response_time=took,
            response_length=stream.received,
            exception=failure,
            context={},
        )

    def _sleep(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        time.sleep(seconds)
        self._log("LOAD", "late", 1e3 * (time.monotonic() - due))

    def _log(self, method: str, name: str, milliseconds: float) -> None:
        # Its own line only: a sum of streams and tokens means nothing.
        self.environment.stats.get(name, method).log(max(0, round(milliseconds)), 0)


class LoadStream:
    """One stream; reading it blocks as far as its sockets do. Used once.

    Args:
        url: the address, with the endpoint's path or without it.
        plan: what the model server is told.
        terms: how it is asked.

    `began` is whether a token has come; `received`, how many bytes; `lacking`, whether this machine had no file or port
    for it, so that the path was never asked. Of what comes only the body is kept, and not when which part of it came:
    there may be thousands of streams, and how one ends is all that the judge is asked.
    """

    def __init__(self, url: str, plan: Plan, terms: RequestTerms) -> None:
        self._plan = plan
        self._terms = terms
        named = terms.wire_format or ("" if format_for_url(url) else OPENAI_CHAT.name)
        endpoint = endpoint_of(PATH, url, named or None)
        self._format = endpoint.wire_format
        self._ask = self._format.ask(terms.model, stream=True, max_tokens=max(plan.tokens, 1))
        self._place = place_of(endpoint.route.url, "")
        self._parser = Http1()
        self._end: ReplyEnd | None = None
        self._connected = False
        self.lacking = self.began = False
        self.received = 0
        self._body = bytearray()
        self.started = self.ended = time.monotonic()

    def lateness(self) -> Iterator[tuple[tuple[str, str], float]]:
        """Read it to its end; what is late, by the names of the statistics, as it comes."""
        reader: BodyReader | None = None
        first: Stamp | None = None
        before = 0.0
        for at, clock, pieces in self._pieces():
            if reader is None:
                coding = self._parser.head.coding if self._parser.head else ""
                reader = BodyReader(self._format, stream=True, coding=coding)
            for token in (token for piece in pieces for token in reader.feed(piece).tokens):
                if first is None:
                    first, self.began = token, True
                    yield ("TOKEN", "first"), 1e3 * (at - self.started)
                    if self._queued(token, clock - at):
                        yield ("STREAM", "queued"), 0.0
                else:
                    yield ("TOKEN", "gap"), 1e3 * (at - before)
                before = at
                if token.left is not None and first.left is not None:
                    yield ("TOKEN", "late"), 1e3 * (clock - token.left)
                    due = self._plan.due(token.number) - self._plan.due(first.number)
                    yield ("MODEL", "late"), 1e3 * (token.left - first.left - due)

    def _queued(self, first: Stamp, clock: float) -> bool:
        """Whether the request came to the model server late, by when the first token left it.

        Args:
            first: that token's stamp.
            clock: what the time of day is ahead of this process's clock.
        """
        if first.left is None:
            return False
        return first.left - (self.started + clock) - self._plan.due(first.number) > LONGEST_WAIT

    @property
    def refused(self) -> bool:
        """Whether it was turned away, once it is over: it had no connection, or an error status."""
        if not self._connected:
            return not self.lacking
        return self._parser.head is not None and self._parser.head.status >= HTTPStatus.BAD_REQUEST

    @property
    def coded(self) -> bool:
        """Whether it came with a content coding, once it is over."""
        return self._parser.head is not None and bool(self._parser.head.coding)

    @property
    def detail(self) -> str:
        """What the transport said at the end, or the reply's status, in words."""
        status = self._parser.head.status if self._parser.head else None
        words = self._end.detail if self._end and self._end.detail else str(self._end.end if self._end else "")
        return f"status {status}, {words}" if status and status != 200 else words

    def evidence(self) -> Evidence:
        """What the judge looks at to say how it ended, once it is over; no times of what came before."""
        head = self._parser.head or Head(0, "", (), "")
        end = self._end or ReplyEnd(TransportEnd.LEFT)
        trace = Trace(
            started=self.started,
            ended=self.ended,
            end=end.end,
            detail=end.detail,
            status=head.status or None,
            version=head.version,
            headers=head.headers,
            framing=head.framing,
            body=(Read(self.ended, bytes(self._body)),),
        )
        return Evidence(self._format.name, stream=True, trace=trace, plan=self._plan, path=self._place.target)

    def _pieces(self) -> Iterator[tuple[float, float, list[bytes]]]:
        """What each read brought of the body, with its time on both clocks."""
        with self._ending():
            sock = socket.create_connection((self._place.host, self._place.port), timeout=CONNECT)
            with closing(self._secured(sock)) as connection:
                self._connected = True
                connection.settimeout(max(self._plan.length, CONNECT) + SPARE)
                self.started = time.monotonic()
                headers = ((PLAN_HEADER, self._plan.to_query()), *self._terms.headers)
                request = request_to(self._place, self._ask, headers)
                connection.sendall(self._parser.write_request(request))
                while self._parser.ended is None and (data := connection.recv(_READ_SIZE)):
                    at, clock = time.monotonic(), time.time()
                    self.received += len(data)
                    pieces = self._parser.feed(data)
                    self._body += b"".join(pieces)
                    yield at, clock, pieces
                self._end = self._parser.closed()
        self.ended = time.monotonic()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What the network does to a stream is how it ends."""
        try:
            yield
        except TimeoutError:
            self._end = ReplyEnd(self._awaited)
        except socket.gaierror as error:
            self._end = ReplyEnd(TransportEnd.UNRESOLVED, words_of(error))
        except ssl.SSLError as error:
            end = TransportEnd.RESET if self._connected else TransportEnd.TLS_FAILED
            self._end = ReplyEnd(end, tls.words_of(error), tls.reason_of(error))
        except OSError as error:
            self.lacking = not self._connected and error.errno in LACKING
            refused = isinstance(error, ConnectionRefusedError) and not self._connected
            self._end = ReplyEnd(TransportEnd.REFUSED if refused else TransportEnd.RESET, words_of(error))

    @property
    def _awaited(self) -> TransportEnd:
        """What its own patience was for, when it ran out."""
        if not self._connected:
            return TransportEnd.CONNECT_TIMEOUT
        return TransportEnd.MIDDLE_TIMEOUT if self.received else TransportEnd.HEADERS_TIMEOUT

    def _secured(self, sock: socket.socket) -> socket.socket:
        if not self._place.secure:
            return sock
        return _trusting(self._terms).wrap_socket(sock, server_hostname=server_name(self._place, self._terms.headers))


@cache
def _trusting(terms: RequestTerms) -> ssl.SSLContext:
    """What streams on these terms trust; made once, since reading the system's authorities takes a while."""
    if terms.any_certificate:
        return trusting_any()
    if not terms.ca_file:
        return tls.default_context()
    context = ssl.create_default_context()
    context.load_verify_locations(terms.ca_file)
    return context
