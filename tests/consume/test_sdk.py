"""How the SDK adapters behave in an application's hands; what they make of each ending is in `test_sdk_grid`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from lab.consume import Complete, Failed, FailedReason, Partial, PartialReason, Refused, Retry
from lab.consume.sdk import Incomplete, answer_to, aread, awatch, read, watch
from lab.errors import BadInput
from lab.wire.tokens import read_tokens

from .ways import ASK, Clients


@pytest.fixture
def clients(model: str) -> Iterator[Clients]:
    """The SDKs' clients; each test closes its asynchronous ones itself."""
    made = Clients(model)
    yield made
    made.close()


def chat(clients: Clients, plan: str) -> Any:
    """A streamed chat of five tokens."""
    return clients.openai.chat.completions.create(model=f"lab?tokens=5&interval=1ms&{plan}", messages=ASK, stream=True)


def numbers(text: str) -> list[int]:
    """The numbers of the tokens in a text."""
    return [stamp.number for stamp in read_tokens(text)]


class TestRead:
    def test_a_stream_that_is_open_already_will_do(self, clients: Clients) -> None:
        """The call may be made outside, where its own exceptions are the application's to handle."""
        answer = read(chat(clients, "seed=2"))
        assert isinstance(answer, Complete)
        assert numbers(answer.text) == [1, 2, 3, 4, 5]

    def test_it_closes_the_stream(self, clients: Clients) -> None:
        """The connection is given back, whole answer or not."""
        for plan in ("seed=2", "fault=no-marker@2"):
            stream = chat(clients, plan)
            read(stream)
            assert stream.response.is_closed

    def test_it_closes_the_stream_when_the_application_fails(self, clients: Clients) -> None:
        """What `on_text` raises is passed on, and leaves no open connection behind."""

        def show(text: str) -> None:
            raise ZeroDivisionError(text)

        stream = chat(clients, "seed=2")
        with pytest.raises(ZeroDivisionError):
            read(stream, on_text=show)
        assert stream.response.is_closed

    def test_an_unreachable_server_is_failed_and_safe_to_ask_again(self) -> None:
        """No connection, no answer, no cost."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        clients = Clients(f"http://127.0.0.1:{port}")
        for answer in (
            read(lambda: chat(clients, "seed=2")),
            read(clients.anthropic.messages.stream(model="lab", max_tokens=9, messages=ASK)),
        ):
            assert isinstance(answer, Failed)
            assert (answer.reason, answer.retry) == (FailedReason.UNREACHABLE, Retry.SAFE)
        clients.close()

    def test_mistakes_of_the_caller_are_raised(self, clients: Clients) -> None:
        """A wrong argument is no answer of the model's."""
        with pytest.raises(TypeError):
            read(lambda: clients.openai.chat.completions.create(stream=True))  # type: ignore[call-overload]
        with pytest.raises(ZeroDivisionError):
            read(lambda: 1 // 0)

    def test_what_is_no_reply_is_bad_input(self, clients: Clients) -> None:
        """A helper without a response, a number, and a stream that was read before are refused by name."""
        with pytest.raises(BadInput, match="a int shows no response"):
            read(7)
        with pytest.raises(BadInput, match="ChatCompletionStream shows no response"):
            read(clients.openai.chat.completions.stream(model="lab?tokens=1", messages=ASK))
        stream = chat(clients, "seed=2")
        list(stream)
        with pytest.raises(BadInput, match="was read before"):
            read(stream)

    @pytest.mark.parametrize(
        ("plan", "kind"), [("seed=2", Complete), ("fault=no-marker@2", Partial), ("fault=fin@2", Failed)]
    )
    def test_batch_replies_are_read_too(self, clients: Clients, plan: str, kind: type) -> None:
        """The same function takes the reply of a call without `stream`, of both SDKs and all three formats."""
        name = f"lab?tokens=5&interval=1ms&{plan}"
        answers = [
            read(lambda: clients.openai.chat.completions.create(model=name, messages=ASK)),
            read(lambda: clients.openai.responses.create(model=name, input="Count.")),
            read(lambda: clients.anthropic.messages.create(model=name, max_tokens=99, messages=ASK)),
        ]
        assert [type(answer) for answer in answers] == [kind] * 3
        texts = [answer.text for answer in answers if isinstance(answer, Complete | Partial)]
        assert all(numbers(text) == list(range(1, 6 if kind is Complete else 3)) for text in texts)

    def test_the_wire_format_can_be_named(self) -> None:
        """Behind a gateway with a path of its own the URL tells nothing, and a name must."""
        body = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

        def stream() -> Any:
            request = httpx2.Request("POST", "http://gateway.test/ask")
            return SimpleNamespace(response=httpx2.Response(200, stream=httpx2.ByteStream(body), request=request))

        with pytest.raises(BadInput, match=r"http://gateway\.test/ask points to no wire format"):
            read(stream())
        assert read(stream(), wire_format="openai-chat") == Complete("Hi", 1, "stop")


class TestTheBodysEnd:
    """What follows the marker, for who wants to use the connection again."""

    PLAN = "lab?tokens=5&interval=1ms&fault=fin@end"

    def _messages(self, clients: Clients) -> Any:
        return clients.anthropic.messages.create(model=self.PLAN, max_tokens=99, messages=ASK, stream=True)

    def test_it_is_not_waited_for(self, clients: Clients) -> None:
        """A connection that fails after the marker goes unnoticed."""
        watched = watch(self._messages(clients))
        list(watched)
        for answer in (read(self._messages(clients)), watched.answer):
            assert isinstance(answer, Complete)
            assert not answer.dirty_close

    def test_it_is_read_on_demand(self, clients: Clients) -> None:
        """Then it is noted, and the answer is as complete as before."""
        watched = watch(self._messages(clients), leave_at_marker=False)
        list(watched)
        for answer in (read(self._messages(clients), leave_at_marker=False), watched.answer):
            assert isinstance(answer, Complete)
            assert answer.dirty_close

    async def test_an_asynchronous_client_can_do_both(self, model: str) -> None:
        """As the synchronous one."""
        clients = Clients(model)
        for leave in (True, False):
            call = clients.aanthropic.messages.create(model=self.PLAN, max_tokens=99, messages=ASK, stream=True)
            watched = awatch(await call, leave_at_marker=leave)
            _ = [event async for event in watched]
            again = clients.aanthropic.messages.create(model=self.PLAN, max_tokens=99, messages=ASK, stream=True)
            for answer in (watched.answer, await aread(again, leave_at_marker=leave)):
                assert isinstance(answer, Complete)
                assert answer.dirty_close is not leave
        await clients.aclose()


class TestAnswerTo:
    def test_a_proxys_page_keeps_status_and_advice(self) -> None:
        """A 429 without the vendor's document is failed, and says when to come back."""
        request = httpx2.Request("POST", "http://lab.test/v1/chat/completions")
        response = httpx2.Response(429, headers={"Retry-After": "12"}, text="<html>slow down</html>", request=request)
        answer = answer_to(openai.RateLimitError("slow down", response=response, body=None))
        assert isinstance(answer, Failed)
        assert (answer.reason, answer.status, answer.retry_after) == (FailedReason.PROXY_ERROR_STATUS, 429, 12.0)
        assert answer.retry is Retry.SAFE

    def test_a_body_that_was_not_read_is_none(self) -> None:
        """The status is still there to judge by."""
        request = httpx2.Request("POST", "http://lab.test/v1/messages")
        response = httpx2.Response(500, stream=httpx2.ByteStream(b""), request=request)
        answer = answer_to(anthropic.InternalServerError("no", response=response, body=None))
        assert isinstance(answer, Failed)
        assert (answer.reason, answer.status) == (FailedReason.PROXY_ERROR_STATUS, 500)

    def test_timeouts_and_cuts_are_told_apart(self) -> None:
        """By the SDK's own exceptions, which share no class."""
        request = httpx2.Request("POST", "http://lab.test/v1/messages")
        for error, reason in [
            (openai.APITimeoutError(request), FailedReason.TIMEOUT),
            (anthropic.APITimeoutError(request), FailedReason.TIMEOUT),
            (openai.APIConnectionError(request=request), FailedReason.CUT),
            (httpx2.ReadError("reset"), FailedReason.CUT),
        ]:
            answer = answer_to(error)
            assert isinstance(answer, Failed)
            assert answer.reason is reason

    def test_anything_else_is_raised(self) -> None:
        """It is not this module's to swallow."""
        for error in (ValueError("max_tokens"), openai.OpenAIError("no key"), KeyError("x")):
            with pytest.raises(type(error)):
                answer_to(error)


class TestWatch:
    def test_the_sdks_own_objects_come_out(self, clients: Clients) -> None:
        """They are as they would be without; the answer is there at the end."""
        watched = watch(chat(clients, "seed=2"))
        chunks = list(watched)
        assert all(isinstance(chunk, openai.types.chat.ChatCompletionChunk) for chunk in chunks)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == watched.text
        assert isinstance(watched.answer, Complete)

    @pytest.mark.parametrize("plan", ["fault=no-marker@2", "fault=no-marker@0", "finish=length"])
    def test_silence_becomes_an_exception(self, clients: Clients, plan: str) -> None:
        """Where the SDK would end as if all were well, the loop raises, with the answer."""
        watched = watch(chat(clients, plan))
        with pytest.raises(Incomplete) as caught:
            list(watched)
        assert caught.value.answer is watched.answer
        assert isinstance(watched.answer, Partial | Failed)

    def test_what_the_sdk_raises_is_raised(self, clients: Clients) -> None:
        """Code that handles the SDK's exceptions need not change."""
        watched = watch(chat(clients, "fault=fin@2"))
        with pytest.raises(openai.APIConnectionError):
            list(watched)
        assert isinstance(watched.answer, Partial)
        assert numbers(watched.answer.text) == [1, 2]

    def test_in_a_with_the_end_is_a_value(self, clients: Clients) -> None:
        """Neither the SDK's exception nor `Incomplete` leaves the block, and the connection is closed."""
        for plan in ("fault=fin@2", "fault=no-marker@2"):
            stream = chat(clients, plan)
            with watch(stream) as watched:
                for _ in watched:
                    pass
            assert isinstance(watched.answer, Partial)
            assert stream.response.is_closed

    def test_in_a_with_the_applications_own_errors_are_raised(self, clients: Clients) -> None:
        """Only the stream's end is a value."""
        stream = chat(clients, "seed=2")

        def careless() -> None:
            with watch(stream) as watched:
                for _ in watched:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            careless()
        assert stream.response.is_closed

    def test_leaving_early_is_partial(self, clients: Clients) -> None:
        """An application that breaks off has not seen the end, and is told so."""
        with watch(chat(clients, "gaps=3@10m")) as watched:
            for _ in watched:
                if watched.text:
                    break
        assert isinstance(watched.answer, Partial)
        assert (watched.answer.reason, watched.answer.retry) == (PartialReason.LEFT, Retry.COSTS)

    def test_leaving_before_any_text_is_failed(self, clients: Clients) -> None:
        """Without a token there is no partial answer."""
        with watch(chat(clients, "seed=2")) as watched:
            pass
        assert watched.answer == Failed(FailedReason.LEFT, "the application stopped reading")

    def test_the_sdks_other_ways_to_read_are_watched_too(self, clients: Clients) -> None:
        """`text_stream` and its like read the same bytes, so the answer is as good."""
        name = "lab?tokens=5&interval=1ms&fault=no-marker@2"
        with clients.anthropic.messages.stream(model=name, max_tokens=99, messages=ASK) as stream:
            watched = watch(stream)
            assert numbers("".join(stream.text_stream)) == [1, 2]
        assert isinstance(watched.answer, Partial)
        assert watched.answer.reason is PartialReason.NO_MARKER

    def test_an_error_of_the_sdks_own_is_no_cut(self) -> None:
        """Where the SDK gives up on bytes that are fine, the answer says who stopped reading."""
        body = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
        request = httpx2.Request("POST", "http://lab.test/v1/chat/completions")
        response = httpx2.Response(200, stream=httpx2.ByteStream(body), request=request)

        class Stream:
            def __init__(self) -> None:
                self.response = response

            def __iter__(self) -> Iterator[str]:
                for _ in self.response.iter_bytes():
                    raise KeyError("surprise")
                yield ""

        watched = watch(Stream())
        with pytest.raises(KeyError):
            list(watched)
        assert watched.answer == Partial("Hi", 1, PartialReason.LEFT, "the SDK stopped reading: KeyError: 'surprise'")

    def test_a_stream_that_reads_past_the_tap_is_bad_input(self) -> None:
        """An SDK that took its bytes from elsewhere could not be watched, and is not silently."""
        request = httpx2.Request("POST", "http://lab.test/v1/chat/completions")

        class Stream:
            response = httpx2.Response(200, stream=httpx2.ByteStream(b""), request=request)

            def __iter__(self) -> Iterator[str]:
                return iter(())

        with pytest.raises(BadInput, match="cannot be watched"):
            list(watch(Stream()))


class TestAsynchronous:
    async def test_silence_becomes_an_exception(self, model: str) -> None:
        """As for the synchronous stream."""
        clients = Clients(model)
        name = "lab?tokens=5&interval=1ms&fault=no-marker@2"
        stream = await clients.aanthropic.messages.create(model=name, max_tokens=99, messages=ASK, stream=True)
        watched = awatch(stream)
        with pytest.raises(Incomplete):
            _ = [event async for event in watched]
        assert isinstance(watched.answer, Partial)
        await clients.aclose()

    async def test_a_cancelled_reader_still_has_its_text(self, model: str) -> None:
        """`asyncio.timeout` around the loop cancels it; what came until then is not lost."""
        clients = Clients(model)
        name = "lab?tokens=5&interval=1ms&gaps=3@10m"
        stream = await clients.aopenai.chat.completions.create(model=name, messages=ASK, stream=True)
        watched = awatch(stream)
        two = asyncio.Event()

        async def follow() -> None:
            async with watched:
                async for _ in watched:
                    if len(numbers(watched.text)) == 2:
                        two.set()

        task = asyncio.create_task(follow())
        await two.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(watched.answer, Partial)
        assert numbers(watched.answer.text) == [1, 2]
        assert watched.answer.reason is PartialReason.LEFT
        await clients.aclose()

    async def test_a_function_or_the_call_itself_will_do(self, model: str) -> None:
        """With or without the await, with or without a function around it."""
        clients = Clients(model)

        def call() -> Any:
            return clients.aopenai.chat.completions.create(model="lab?tokens=1&fault=status@429", messages=ASK)

        for answer in (await aread(call), await aread(call())):
            assert isinstance(answer, Refused)
            assert answer.status == 429
        await clients.aclose()
