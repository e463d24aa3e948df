"""Background responses: what is generated, what each stream carries, and what is kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from lab.model import background, steps
from lab.model.aside import Aside
from lab.model.background import Background
from lab.model.ledger import Book
from lab.model.room import Full
from lab.model.server import ModelServer
from lab.plan import PlanError, plan_from_query
from lab.wire.format import Asked
from lab.wire.tokens import read_tokens

from .raw import Seen, exchange
from .test_server import ledgers, settled

PLAN = "lab?tokens=5&interval=1ms"


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's SDK, without repetitions."""
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def create(client: openai.AsyncOpenAI, model: str) -> Any:
    """A background response's first stream."""
    return await client.responses.create(model=model, input="Count.", background=True, stream=True)


async def follow(stream: Any) -> list[Any]:
    """All events of a stream, up to its end or to its cut."""
    events: list[Any] = []
    try:
        async for event in stream:
            events.append(event)
    except openai.APIError:
        pass
    return events


def sequence(events: list[Any]) -> list[int]:
    """The numbers of events."""
    return [event.sequence_number for event in events]


def numbers(text: str) -> list[int]:
    """The numbers of the tokens in a text."""
    return [stamp.number for stamp in read_tokens(text)]


async def ended(client: openai.AsyncOpenAI, name: str, *statuses: str) -> Response:
    """Ask for a response until it has come to its end."""
    async with asyncio.timeout(30):
        while True:
            response = await client.responses.retrieve(name)
            if response.status not in statuses:
                return response


def asks(path: str, method: str = "GET") -> bytes:
    """A raw request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode()


async def test_a_stream_is_as_any_other_and_says_that_it_is_in_the_background(client: openai.AsyncOpenAI) -> None:
    """The same events with the same numbers, and an id of its own for each."""
    ids = []
    for _ in range(2):
        events = await follow(await create(client, PLAN))
        assert sequence(events) == [*range(13)]
        assert events[0].response.background is True
        assert events[-1].type == "response.completed"
        ids.append(events[0].response.id)
    assert len(set(ids)) == 2


@pytest.mark.parametrize("after", range(-1, 13))
async def test_the_rest_begins_right_after_any_event(client: openai.AsyncOpenAI, after: int) -> None:
    """Also in the middle of what was written at once; both parts together are the whole."""
    whole = await follow(await create(client, PLAN))
    name = whole[0].response.id
    rest = await follow(await client.responses.retrieve(name, stream=True, starting_after=after))
    assert [event.model_dump() for event in rest] == [event.model_dump() for event in whole[after + 1 :]]


async def test_the_rest_of_a_long_answer_begins_right_after_any_event(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose last events leave in many pieces, most of which say no number."""
    monkeypatch.setattr(steps, "SHORT", -1)
    monkeypatch.setattr(steps, "_PIECE", 60)
    whole = await follow(await create(client, PLAN))
    name = whole[0].response.id
    assert sequence(whole) == [*range(13)]
    for after in range(-1, 13):
        rest = await follow(await client.responses.retrieve(name, stream=True, starting_after=after))
        assert [event.model_dump() for event in rest] == [event.model_dump() for event in whole[after + 1 :]]
    assert numbers((await client.responses.retrieve(name)).output_text) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("fault", ["fin@2", "rst@2", "freeze@2", "no-marker@2", "cut-json@2", "cut-utf8@2"])
async def test_a_fault_of_the_connection_leaves_the_generation_whole(
    server: ModelServer, client: openai.AsyncOpenAI, fault: str
) -> None:
    """The first stream ends as the plan says, the ledger has every token, and a later stream brings the rest."""
    model, names = f"{PLAN}&fault={fault}", {"X-Lab-Request": "first"}
    stream = await client.responses.create(
        model=model, input="Count.", background=True, stream=True, extra_headers=names
    )
    name = (await anext(aiter(stream))).response.id
    first = await settled(server, "first", lambda ledger: ledger.fault_at is not None)
    assert (first.fault, [token.number for token in first.tokens]) == (fault, [1, 2])
    ledger = await settled(server, name, lambda ledger: ledger.finished is not None)
    assert (ledger.fault, [token.number for token in ledger.tokens]) == ("", [1, 2, 3, 4, 5])
    rest = await follow(await client.responses.retrieve(name, stream=True, starting_after=5))
    assert sequence(rest) == [*range(6, 13)]
    assert numbers("".join(event.delta for event in rest if event.type.endswith("text.delta"))) == [3, 4, 5]
    assert numbers((await client.responses.retrieve(name)).output_text) == [1, 2, 3, 4, 5]
    await stream.close()


async def test_leaving_stops_a_plain_response_and_no_background_one(server: ModelServer) -> None:
    """The same plan, left after the first token: one ledger ends there, the other goes on to the last token."""
    model = "lab?tokens=40&interval=25ms"
    plain = await left_after_a_token(server, model, background=False)
    name = await left_after_a_token(server, model, background=True)
    stopped = await settled(server, plain, lambda ledger: ledger.finished is not None)
    assert stopped.client_left is not None
    assert len(stopped.tokens) < 40
    generated = await settled(server, name, lambda ledger: ledger.finished is not None)
    assert [token.number for token in generated.tokens] == [*range(1, 41)]
    # The stream that was left ended like the plain one; only the generation is another.
    (stream,) = await ledgers(server, "background")
    assert stream.client_left is not None
    assert len(stream.tokens) < 40


async def left_after_a_token(server: ModelServer, model: str, *, background: bool) -> str:
    """Leave a stream when its first token has come; the name under which the ledger has what was generated."""
    name = "background" if background else "plain"
    headers = {"X-Lab-Request": name}
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", default_headers=headers) as client:
        stream = await client.responses.create(model=model, input="Count.", background=background, stream=True)
        async for event in stream:
            if event.type == "response.created":
                response = event.response.id
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    return response if background else name


async def test_without_a_stream_it_is_queued_and_can_be_asked_for(client: openai.AsyncOpenAI) -> None:
    """The request is answered at once, without text; the whole is there later, and a stream never is."""
    queued = await client.responses.create(model=PLAN, input="Count.", background=True)
    assert (queued.status, queued.output) == ("queued", [])
    done = await ended(client, queued.id, "queued", "in_progress")
    assert (done.status, numbers(done.output_text)) == ("completed", [1, 2, 3, 4, 5])
    with pytest.raises(openai.BadRequestError, match="created without a stream"):
        await client.responses.retrieve(queued.id, stream=True)


@pytest.mark.parametrize(
    ("plan", "status", "tokens"),
    [("finish=length", "incomplete", 5), ("fault=error@2", "failed", 0), ("fault=forge@2", "completed", 2)],
)
async def test_the_state_says_how_it_ended(client: openai.AsyncOpenAI, plan: str, status: str, tokens: int) -> None:
    """By its status, as the stream's last event does."""
    queued = await client.responses.create(model=f"{PLAN}&{plan}", input="Count.", background=True)
    done = await ended(client, queued.id, "queued", "in_progress")
    assert (done.status, len(numbers(done.output_text))) == (status, tokens)
    assert (done.error is not None) == (status == "failed")


async def test_cancelling_stops_the_generation_and_cuts_its_streams(
    server: ModelServer, client: openai.AsyncOpenAI
) -> None:
    """The ledger stops, the stream breaks off, the state says so, and a later stream brings only what there was."""
    stream = await create(client, "lab?tokens=3&interval=0s&gaps=3@10m")
    heard = [await anext(aiter(stream)) for _ in range(6)]
    name = heard[0].response.id
    cancelled = await client.responses.cancel(name)
    assert cancelled.status == "cancelled"
    assert await follow(stream) == []
    ledger = await settled(server, name, lambda ledger: ledger.finished is not None)
    assert [token.number for token in ledger.tokens] == [1, 2]
    assert (await client.responses.retrieve(name)).status == "cancelled"
    again = await follow(await client.responses.retrieve(name, stream=True))
    assert sequence(again) == [*range(6)]
    assert (await client.responses.cancel(name)).status == "cancelled"


async def test_cancelling_what_has_ended_changes_nothing(client: openai.AsyncOpenAI) -> None:
    """It is as complete as before."""
    name = (await follow(await create(client, PLAN)))[0].response.id
    assert (await client.responses.cancel(name)).status == "completed"


async def test_cancelling_what_a_stream_has_told_to_be_over_changes_nothing(
    client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generation comes to its own end later than the stream that told it, on a busy machine."""
    told = asyncio.Event()

    async def late(_: float) -> None:
        await told.wait()

    monkeypatch.setattr(background, "wait_until", late)
    name = (await follow(await create(client, "lab?tokens=5&interval=50ms")))[0].response.id
    asyncio.get_running_loop().call_later(0.2, told.set)
    assert (await client.responses.cancel(name)).status == "completed"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("resp_lab-0", 404),
        ("resp_lab-0/cancel", 404),
        ("{name}?stream=perhaps", 400),
        ("{name}?stream=true&starting_after=x", 400),
        ("{name}?stream=true&starting_after=-2", 400),
    ],
)
async def test_what_cannot_be_had_is_refused_in_the_vendors_shape(
    server: ModelServer, client: openai.AsyncOpenAI, path: str, status: int
) -> None:
    """An unknown id and a parameter that makes no sense."""
    name = (await follow(await create(client, PLAN)))[0].response.id
    method = "POST" if path.endswith("cancel") else "GET"
    seen: Seen = await exchange(server.base_url, asks(f"/v1/responses/{path.format(name=name)}", method))
    assert seen.status == status
    assert json.loads(seen.body)["error"]["message"]


@pytest.mark.parametrize(
    ("model", "options"),
    [(f"{PLAN}&stamp=clock", {"stream": True}), (f"{PLAN}&fault=fin@2", {}), (PLAN, {"store": False})],
    ids=["clock", "fault-without-stream", "not-stored"],
)
async def test_plans_that_make_no_sense_are_refused(
    client: openai.AsyncOpenAI, model: str, options: dict[str, Any]
) -> None:
    """Nothing of a plan or a request is ignored."""
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(model=model, input="Count.", background=True, **options)


async def test_a_planned_status_makes_no_response(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    """The request is refused before anything is generated."""
    with pytest.raises(openai.RateLimitError):
        await create(client, f"{PLAN}&fault=status@429")
    assert (await exchange(server.base_url, asks("/lab/ledger/resp_lab-1"))).status == 404


@pytest.mark.parametrize(("path", "method"), [("", "GET"), ("?stream=true", "GET"), ("/cancel", "POST")])
async def test_a_secret_guards_what_was_generated(path: str, method: str) -> None:
    """Without it nobody reads or cancels a response, whose id is easy to guess."""
    async with ModelServer(secret="s" * 40) as server:
        async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="s" * 40, max_retries=0) as client:
            name = (await follow(await create(client, PLAN)))[0].response.id
        assert (await exchange(server.base_url, asks(f"/v1/responses/{name}{path}", method))).status == 401


class TestBounds:
    ASKED = Asked("lab", stream=True, background=True)

    async def _open(self, background: Background, query: str = "tokens=3&interval=0s") -> str:
        script = background.script(plan_from_query(query), self.ASKED)
        response, _ = await background.open(script, "1.1", time.monotonic(), stream=True)
        return f"resp_{response.script.reply.id}"

    async def _finish(self, background: Background, name: str) -> None:
        response = background.find(name)
        assert response is not None
        await response.task

    async def test_the_oldest_that_has_ended_is_forgotten(self) -> None:
        """Beyond the number, the first to have begun goes first; one that runs stays."""
        background = Background(Book(), Aside(), most=2)
        runs = await self._open(background, "tokens=3&interval=10m")
        old = await self._open(background)
        await self._finish(background, old)
        new = await self._open(background)
        assert background.find(old) is None
        assert background.find(runs) is not None
        assert background.find(new) is not None
        background.close()

    async def test_when_all_run_no_more_begin(self) -> None:
        """A refusal, and nothing is forgotten."""
        background = Background(Book(), Aside(), most=2)
        names = [await self._open(background, "tokens=3&interval=10m") for _ in range(2)]
        with pytest.raises(Full, match="2 background responses are running"):
            await self._open(background)
        assert all(background.find(name) for name in names)
        background.close()

    async def test_bytes_count_too(self) -> None:
        """Long answers are forgotten sooner; one that is too long for the bound is kept as the only one."""
        background = Background(Book(), Aside(), most_bytes=100_000)
        names = [await self._open(background)]
        await self._finish(background, names[0])
        names.append(await self._open(background, "tokens=10000&interval=0s"))
        assert [background.find(name) is not None for name in names] == [False, True]
        background.close()

    async def test_the_server_says_429(
        self, server: ModelServer, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the vendor does when there is too much to do."""
        small = Background(Book(), Aside(), most=1)
        monkeypatch.setattr(server, "_background", small)
        stream = await create(client, "lab?tokens=2&interval=10m")
        with pytest.raises(openai.RateLimitError):
            await create(client, PLAN)
        await stream.close()
        small.close()

    async def test_a_plan_that_makes_no_sense_is_refused(self) -> None:
        """The error names the field."""
        background = Background(Book(), Aside())
        with pytest.raises(PlanError, match="stamp"):
            background.script(plan_from_query("stamp=clock"), self.ASKED)
