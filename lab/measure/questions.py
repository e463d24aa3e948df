"""The side channel of a path that passes nothing but questions: the ledger is an answer, and so is the clock.

What to answer stands in the user's message (`lab.directive`). It takes the path's own time, and a request of its own
for each thing that is asked, as the confirmations of lockstep.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterable

from lab.directive import Directive
from lab.evidence import Refusal
from lab.probe.side_channel import SideChannel
from lab.wire.directive import in_message
from lab.wire.events import Text
from lab.wire.format import WireFormat

_ESCAPED = 3
"""How much longer a document may be as a string of JSON in an answer."""

_AROUND = 16 * 1024
"""Bytes that an answer has beside its text, whatever a gateway adds to it."""


class QuestionChannel(SideChannel):
    """As `SideChannel`, by questions to an endpoint.

    Args:
        url: the endpoint's whole address.
        wire_format: its dialect.
        model: the model that is asked for.
        headers: request headers that it wants, such as a key.
        tls: for an https address; None verifies against the system's authorities.
    """

    def __init__(
        self,
        url: str,
        wire_format: WireFormat,
        model: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(url, headers=headers, tls=tls)
        self._format = wire_format
        self._model = model

    async def refusals(self, request: str) -> tuple[Refusal, ...]:
        """None: what the model server did not serve, no answer tells."""
        return ()

    async def _ask(self, method: str, path: str, most: int) -> bytes:
        """As the side channel's; a path that answers with something else is no model server's."""
        what, _, rest = path.removeprefix("/lab/").partition("/")
        request = uuid.uuid4().hex
        match what:
            case "ledger":
                directive = Directive(request=request, ledger=rest)
            case "confirm":
                directive = Directive(request=request, confirm=rest.replace("/", ":"))
            case _:
                # Nobody waits for that token; what counts is the clock in the answer.
                directive = Directive(request=request, confirm=f"{request}:0")
        prompt = in_message("Count.", directive.to_query())
        ask = self._format.ask(self._model, stream=False, max_tokens=1, prompt=prompt)
        body = await self._exchange("POST", "", _ESCAPED * most + _AROUND, headers=ask.headers, data=ask.body)
        return "".join(each.text for each in self._format.read_batch(body) if isinstance(each, Text)).encode()
