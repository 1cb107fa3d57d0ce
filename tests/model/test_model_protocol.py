"""What can be had of any model: its sync mirror, its streams, and requests in the making."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import pytest
import trio

from llmreplay import CompletionModel, CompletionRequest, CompletionResponse, Message
from llmreplay.completion import (
    Final,
    HttpError,
    ProviderError,
    Started,
    StreamError,
    StreamEvent,
    Text,
    TextDelta,
    Usage,
    told,
)
from llmreplay.errors import ScriptExhausted
from llmreplay.model import CompletionStream, Model, collected, iterate_sync, run_sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

REQUEST = CompletionRequest(messages=[Message.user("Say it again.")])
WHO = contextvars.ContextVar("who", default="nobody")


class Echo(Model):
    """Says what it was told; `closed` counts the streams that were let go."""

    def __init__(self) -> None:
        self.closed = 0
        self.threads: set[int] = set()
        self.told = 0

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        self.threads.add(threading.get_ident())
        await asyncio.sleep(0)
        return CompletionResponse(
            choice=[Text(text=f"{request.prompt} {WHO.get()}")], usage=Usage(input_tokens=3)
        )

    async def stream(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        try:
            for event in told(await self.completion(request)):
                self.told += 1
                yield event
        finally:
            self.closed += 1


class Failing(Model):
    """Raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        raise self.error

    async def stream(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        yield Started()
        raise self.error


class Bare:
    """A model of the user's own: two methods, and no base class."""

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        return CompletionResponse(choice=[Text(text=request.prompt)])

    async def stream(self, request: CompletionRequest) -> AsyncIterator[StreamEvent]:
        for event in told(await self.completion(request)):
            yield event


def test_whoever_has_both_methods_is_a_model():
    assert isinstance(Bare(), CompletionModel)
    assert isinstance(Echo(), CompletionModel)
    assert not isinstance(object(), CompletionModel)


# ------------------------------------------------------------------------------------- without async


def test_an_answer_is_had_without_an_event_loop():
    token = WHO.set("Ada")
    try:
        assert Echo().completion_sync(REQUEST).text == "Say it again. Ada"
    finally:
        WHO.reset(token)


async def test_an_answer_is_had_inside_a_running_loop_with_the_context_of_the_caller():
    WHO.set("Ada")
    model = Echo()

    assert model.completion_sync(REQUEST).text == "Say it again. Ada"

    assert threading.get_ident() not in model.threads


def test_an_answer_is_had_inside_a_loop_of_trio():
    async def main() -> str:
        return Echo().completion_sync(REQUEST).text

    assert trio.run(main) == "Say it again. nobody"


def test_a_loop_of_the_caller_is_left_as_it_was():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        Echo().completion_sync(REQUEST)
        list(Echo().stream_sync(REQUEST))

        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@pytest.mark.parametrize("error", [ProviderError("no"), ScriptExhausted("no"), ValueError("no")], ids=repr)
def test_what_is_raised_comes_through_as_it_is(error):
    def ask() -> None:
        Failing(error).completion_sync(REQUEST)

    async def inside() -> None:
        ask()

    for run in (ask, lambda: asyncio.run(inside())):
        with pytest.raises(type(error)) as caught:
            run()
        assert caught.value is error
    with pytest.raises(type(error)) as caught:
        list(Failing(error).stream_sync(REQUEST))
    assert caught.value is error


def test_what_gives_nothing_gives_nothing_inside_a_loop_too():
    async def nothing() -> None:
        await asyncio.sleep(0)

    async def inside() -> object:
        return run_sync(nothing)

    assert run_sync(nothing) is None
    assert asyncio.run(inside()) is None


def test_a_stream_is_told_event_by_event_and_nothing_is_read_ahead():
    model = Echo()
    events = model.stream_sync(REQUEST)

    assert isinstance(next(events), Started)
    assert model.told == 1
    assert isinstance(next(events), TextDelta)
    assert model.told == 2

    assert isinstance(list(events)[-1], Final)


async def test_a_stream_is_told_inside_a_running_loop():
    WHO.set("Ada")

    events = list(Echo().stream_sync(REQUEST))

    assert events[1] == TextDelta(text="Say it again. Ada")


def test_a_stream_that_is_left_is_closed():
    model = Echo()
    events = model.stream_sync(REQUEST)
    next(events)

    events.close()

    assert model.closed == 1
    assert list(events) == []


def test_a_stream_that_is_never_read_asks_nothing():
    model = Echo()

    model.stream_sync(REQUEST).close()

    assert (model.told, model.closed) == (0, 0)


def test_an_iterator_without_an_end_of_its_own_is_read_too():
    class Numbers:
        def __init__(self) -> None:
            self.left = [1, 2]

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    assert list(iterate_sync(Numbers)) == [1, 2]


def test_a_stream_is_read_in_one_task():
    async def tasks() -> AsyncIterator[object]:
        async with asyncio.timeout(60):  # which insists on it
            yield asyncio.current_task()
            yield asyncio.current_task()

    one, other = iterate_sync(tasks)

    assert one is other


# ------------------------------------------------------------------------------------------- streams


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


def streamed() -> CompletionStream:
    async def events() -> AsyncIterator[StreamEvent]:
        response = CompletionResponse(choice=[Text(text="Hi.")], usage=Usage(input_tokens=3, output_tokens=2))
        for event in told(response):
            yield event

    return CompletionStream(events())


def running(backend, main):
    return trio.run(main) if backend == "trio" else asyncio.run(main())


def test_a_stream_has_its_answer_and_usage_at_the_end(anyio_backend):
    async def main() -> None:
        stream = streamed()
        assert (stream.response, stream.usage) == (None, Usage())
        async with await stream as events:
            found = [event async for event in events]
        assert isinstance(found[-1], Final)
        assert stream.response is not None
        assert stream.response.text == "Hi."
        assert stream.usage.total_tokens == 5

    running(anyio_backend, main)


def test_a_stream_that_is_cancelled_ends_without_an_answer(anyio_backend):
    async def main() -> None:
        stream = streamed()
        await anext(stream)
        stream.cancel()
        assert [event async for event in stream] == []
        assert (stream.response, stream.usage) == (None, Usage())

    running(anyio_backend, main)


def test_a_stream_can_be_cancelled_while_somebody_waits_for_it(anyio_backend):
    async def main() -> None:
        closed: list[bool] = []

        async def silent() -> AsyncIterator[StreamEvent]:
            try:
                yield Started()
                await anyio.sleep_forever()
            finally:
                closed.append(True)

        stream = CompletionStream(silent())
        found: list[StreamEvent] = []
        waiting = anyio.Event()

        async def read() -> None:
            async for event in stream:
                found.append(event)
                waiting.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await waiting.wait()
            await anyio.lowlevel.checkpoint()
            stream.cancel()
        assert found == [Started()]
        assert closed == [True]

    running(anyio_backend, main)


def test_a_stream_that_is_paused_goes_on_where_it_stood(anyio_backend):
    async def main() -> None:
        stream = streamed()
        found = [await anext(stream)]
        stream.pause()
        stream.pause()
        assert stream.paused

        async def read() -> None:
            found.extend([event async for event in stream])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            assert len(found) == 1
            stream.resume()
        assert not stream.paused
        assert isinstance(found[-1], Final)
        stream.resume()

    running(anyio_backend, main)


def test_a_stream_that_is_paused_can_be_cancelled(anyio_backend):
    async def main() -> None:
        stream = streamed()
        stream.pause()
        stream.cancel()
        assert [event async for event in stream] == []

    running(anyio_backend, main)


def test_a_stream_that_was_closed_is_over(anyio_backend):
    async def main() -> None:
        stream = streamed()
        await anext(stream)
        await stream.aclose()
        assert [event async for event in stream] == []

    running(anyio_backend, main)


# ------------------------------------------------------------------------------------------ collected


async def test_a_stream_is_collected_into_its_answer():
    assert (await collected(Bare().stream(REQUEST))).text == "Say it again."


async def test_a_stream_without_an_end_is_truncated():
    async def short() -> AsyncIterator[StreamEvent]:
        yield TextDelta(text="It is")

    with pytest.raises(HttpError) as caught:
        await collected(short())

    assert caught.value.kind == "stream_truncated"
    assert caught.value.retryable


async def test_a_stream_that_tells_an_error_and_no_answer_has_that_error():
    error = ProviderError("Not now.", kind="overloaded")

    async def failing() -> AsyncIterator[StreamEvent]:
        yield StreamError(error=error)
        yield StreamError(error=ProviderError("And again."))

    with pytest.raises(ProviderError) as caught:
        await collected(failing())

    assert caught.value is error


async def test_an_async_generator_of_the_users_own_is_a_stream():
    async with aclosing(Bare().stream(REQUEST)) as events:
        assert isinstance(await anext(events), Started)
