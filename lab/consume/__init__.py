"""For applications: a reply goes in, exactly one of complete, partial, refused and failed comes out.

Exceptions cannot tell half an answer from no answer, and a cut that ends cleanly raises none at all. So
nothing here is judged by how the connection ended alone: an answer is complete when the model's finish
reason and the wire format's terminal marker have both come, and whatever else came is `Partial`, a type
of its own that cannot be taken for an answer by accident.

`Consumer` does no I/O and is driven by any client; `consume` and `aconsume` drive it over an iterable
of bytes. With httpx, including the failure to connect:

    consumer = Consumer("openai-chat")
    error = None
    try:
        with httpx.stream("POST", url, json=question, timeout=60) as reply:
            consumer.head(reply.status_code, reply.headers)
            for data in reply.iter_bytes():
                show(consumer.feed(data))
    except httpx.HTTPError as failure:
        error = failure
    match consumer.close(error):
        case Complete(text=text):
            store(text)
        case Partial(text=text, reason=PartialReason.TOKEN_LIMIT):
            offer_to_go_on(text)
        case Partial(text=text, reason=reason):
            mark_as_incomplete(text, reason)
        case Refused(kind=kind, retry_after=seconds):
            tell_the_user(kind, seconds)
        case Failed(reason=reason):
            ask_again(reason)

Whatever is not complete says, as `answer.retry`, what asking again would do: safe, at a cost, or pointless.

With the SDKs of OpenAI and Anthropic it is one line, whichever way they raise or stay silent:

    from lab.consume.sdk import read

    answer = read(lambda: client.chat.completions.create(model=model, messages=question, stream=True))

`lab.consume.sdk` has that and its asynchronous twin, and `watch` for who wants the SDK's own objects;
`lab.consume.resume` goes on with a cut background response of OpenAI's, and `lab.consume.go_on` has the
recipe for the formats that cannot resume. All of it needs Python's standard library and nothing else: an application
installs it without the lab, as the distribution `wholeanswer`, and imports `wholeanswer.consume`.

Warnings: some things are out of its hands.

- Use a client that hands over the bytes it has before it raises. httpx and requests' `iter_content` on a
  chunked body do; aiohttp's `resp.content` was measured to lose up to all tokens that it had buffered
  when the connection then fails, and `http.client` ends a line loop over a cut body without a word.
- A proxy may throw away what it holds when the connection behind it is reset, the terminal marker included, as
  nginx 1.26 in its defaults does. Then an answer is partial though all its text came: nobody on this side can know.
- Whoever forges the finish reason and the marker on half an answer (some gateways do) is believed; only the
  sender can know better.
- One choice a reply: the texts of several choices would be mingled.
"""

from __future__ import annotations

from ..wire.tools import ToolCall
from ._answers import (
    Answer,
    Complete,
    Failed,
    FailedReason,
    Partial,
    PartialReason,
    Refused,
    Retry,
)
from ._consumer import Consumer
from ._errors import Left
from ._loops import aconsume, consume

__all__ = [
    "Answer",
    "Complete",
    "Consumer",
    "Failed",
    "FailedReason",
    "Left",
    "Partial",
    "PartialReason",
    "Refused",
    "Retry",
    "ToolCall",
    "aconsume",
    "consume",
]
