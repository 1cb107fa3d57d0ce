"""The clock: every sleep is over at once and listed, whoever asks for it; what is I/O takes its time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

import anyio
import backoff
import httpx
import pytest
import stamina
import tenacity
import trio

from llmreplay import use_cassette
from llmreplay.cassette import Cassette
from llmreplay.clock import Clock
from llmreplay.exchange import Chunk, Exchange, Request, Response
from llmreplay.intercept import _httpx_streams
from tests.contracts.codecs import TURNS, WIRES
from tests.loopback import Gate, Received, Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUESTION: Any = [{"role": "user", "content": "How is the weather in Paris?"}]
ANSWER = TURNS["text"].response.text
REAL = {"time": time.sleep, "asyncio": asyncio.sleep, "anyio": anyio.sleep, "trio": trio.sleep}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """A clock on top of sleeps that fail if any time would really pass."""

    def refuse(seconds: float) -> None:
        assert seconds == 0, f"{seconds} s would really have passed"

    def refuse_async(real: Any) -> Any:
        async def sleep(seconds: float, *rest: Any) -> Any:
            refuse(seconds)
            return await real(0, *rest)

        return sleep

    monkeypatch.setattr(time, "sleep", refuse)
    for module in (asyncio, anyio, trio):
        monkeypatch.setattr(module, "sleep", refuse_async(module.sleep))
    with Clock() as running:
        yield running


# ---------------------------------------------------------------------------------- what a sleep is now


def test_a_sleep_is_over_at_once_and_listed(clock: Clock) -> None:
    time.sleep(300)
    time.sleep(0.5)

    assert clock.slept == [300.0, 0.5]
    assert clock.now == clock.total == 300.5


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_async_sleeps_are_too(clock: Clock, library: str) -> None:
    async def sleep() -> None:
        await anyio.sleep(60)
        await (asyncio if library == "asyncio" else trio).sleep(30)

    anyio.run(sleep, backend=library)

    assert clock.slept == [60.0, 30.0]
    assert clock.now == 90


def test_a_sleep_of_asyncio_gives_its_result(clock: Clock) -> None:
    assert asyncio.run(asyncio.sleep(9, "awake")) == "awake"
    assert asyncio.run(asyncio.sleep(0, result="still")) == "still"
    assert clock.slept == [9.0]


def test_a_sleep_of_nothing_is_not_listed_and_gives_way(clock: Clock) -> None:
    order: list[str] = []

    async def turn(name: str, sleep: Callable[[float], Any]) -> None:
        for _ in range(2):
            order.append(name)
            await sleep(0)

    async def run() -> None:
        await asyncio.gather(turn("a", asyncio.sleep), turn("b", anyio.sleep))

    asyncio.run(run())
    time.sleep(0)

    assert order == ["a", "b", "a", "b"]
    assert clock.slept == []


def test_a_sleep_that_cannot_be_is_refused_as_ever() -> None:
    with Clock() as clock:
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
        with pytest.raises(TypeError):
            time.sleep("1")  # type: ignore[arg-type]

    assert clock.slept == []


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_sleep_without_end_has_none(library: str) -> None:
    async def sleep() -> bool:
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        with anyio.move_on_after(0.01) as another:
            await anyio.sleep(float("inf"))
        return scope.cancelled_caught and another.cancelled_caught

    with Clock() as clock:
        assert anyio.run(sleep, backend=library)

    assert clock.slept == []


def test_tasks_that_sleep_take_turns_and_their_time_overlaps(clock: Clock) -> None:
    order: list[str] = []

    async def work(name: str, *sleeps: float) -> None:
        for seconds in sleeps:
            order.append(name)
            await asyncio.sleep(seconds)

    async def run() -> None:
        await asyncio.gather(work("a", 5, 1), work("b", 2, 1))
        await work("c", 3)

    asyncio.run(run())

    assert order == ["a", "b", "a", "b", "c"]
    assert clock.slept == [5, 2, 1, 1, 3]
    assert clock.now == 9
    assert clock.total == 12


def test_a_cancelled_task_is_cancelled_while_it_sleeps(clock: Clock) -> None:
    async def run() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(run())

    assert clock.slept == [60.0]
    assert clock.now == 0


def test_sleeps_of_other_threads_are_listed(clock: Clock) -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(time.sleep, 8).result()
    thread = threading.Thread(target=time.sleep, args=(4,))
    thread.start()
    thread.join()

    async def run() -> None:
        await asyncio.to_thread(time.sleep, 2)

    asyncio.run(run())

    assert clock.slept == [8.0, 4.0, 2.0]


def test_every_sleep_of_many_threads_is_listed(clock: Clock) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(time.sleep, [0.25] * 400))

    assert clock.slept == [0.25] * 400
    assert clock.total == 100
    assert 0.25 <= clock.now <= 100


def test_of_clocks_inside_each_other_the_innermost_lists_and_time_passes_for_both(clock: Clock) -> None:
    time.sleep(1)
    with Clock() as inner:
        time.sleep(2)
    time.sleep(4)

    assert (clock.slept, inner.slept) == ([1, 4], [2])
    assert (clock.now, inner.now) == (7, 2)


def test_a_clock_goes_on_in_its_next_block() -> None:
    clock = Clock()
    for _ in range(2):
        with clock:
            time.sleep(3)

    assert clock.slept == [3, 3]
    assert clock.now == 6


def test_a_clock_that_runs_cannot_be_started(clock: Clock) -> None:
    with pytest.raises(RuntimeError, match="make another one"), clock:
        pass


# -------------------------------------------------------------------------------------------- in and out


def test_everything_is_as_it_was_afterwards() -> None:
    with suppress(KeyError), Clock():
        assert time.sleep is not REAL["time"]
        raise KeyError

    modules = {"time": time, "asyncio": asyncio, "anyio": anyio, "trio": trio}
    assert {name: module.sleep for name, module in modules.items()} == REAL
    assert tenacity.time is time  # type: ignore[attr-defined]


def test_a_sleep_that_was_imported_by_name_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("somebodys_retries")
    vars(module).update(sleep=time.sleep, nap=asyncio.sleep)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    with Clock() as clock:
        module.sleep(5)
        asyncio.run(module.nap(6))

    assert clock.slept == [5, 6]
    assert (module.sleep, module.nap) == (REAL["time"], REAL["asyncio"])


def test_what_keeps_the_sleep_of_a_clock_sleeps_for_real_without_one() -> None:
    slept: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", slept.append)
        with Clock() as clock:

            class Patient:
                sleep = time.sleep

            Patient().sleep(1)
        Patient().sleep(2)

    assert clock.slept == [1]
    assert slept == [0, 2]


def test_something_else_among_the_modules_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "no_module", None)  # type: ignore[arg-type]

    with Clock() as clock:
        time.sleep(1)

    assert clock.slept == [1]


# ------------------------------------------------------------------------------------------ what is real


def test_the_time_of_the_process_is_left_alone(clock: Clock) -> None:
    untouched = (time.monotonic, time.time, time.perf_counter)
    with Clock():
        assert (time.monotonic, time.time, time.perf_counter) == untouched
    assert clock.slept == []


def test_a_read_timeout_fires() -> None:
    with Server(Reply(hold=Gate())) as server, Clock() as clock, pytest.raises(httpx.ReadTimeout):
        httpx.get(server.url, timeout=0.05)

    assert clock.slept == []


def test_a_read_timeout_of_async_code_fires_after_sleeps_of_hours() -> None:
    async def run(url: str) -> None:
        await anyio.sleep(7200)
        async with httpx.AsyncClient(timeout=0.05) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(url)

    with Server(Reply(hold=Gate())) as server, Clock() as clock:
        asyncio.run(run(server.url))

    assert clock.slept == [7200]


def test_a_timeout_does_not_fire_because_of_sleeps(clock: Clock) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await asyncio.sleep(3600)
        with anyio.fail_after(60):
            await anyio.sleep(3600)

    asyncio.run(run())

    assert clock.slept == [3600, 3600]


def test_a_child_process_is_waited_for_in_real_time() -> None:
    with Clock() as clock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.02)
        child.communicate(b"\n", timeout=30)

    assert clock.slept == []


def test_what_plays_a_cassette_keeps_the_sleep_that_it_has_imported_by_name() -> None:
    with Clock():
        assert _httpx_streams.sleep is REAL["time"]


@pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
def test_a_cassette_is_replayed_at_its_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    request = Request("POST", "http://127.0.0.1:9/v1/chat/completions", (), b'{"model":"m","messages":[]}')
    chunks = (Chunk(b"data: 1\n\n", 1), Chunk(b"data: 2\n\n", 2))
    Cassette([Exchange(request, Response(200, (), chunks, delay=3))]).save(tmp_path / "tape.yaml")

    async def ask() -> bytes:
        async with httpx.AsyncClient() as client:
            return (await client.post(request.url, content=request.body)).content

    waits: list[float] = []
    real = anyio.sleep

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr(anyio, "sleep", wait)
    monkeypatch.setattr(_httpx_streams, "sleep", waits.append)
    with use_cassette(tmp_path / "tape.yaml", speed=1), Clock() as clock:
        said = httpx.post(request.url, content=request.body).content if kind == "sync" else None
        said = said or anyio.run(ask, backend=kind)

    assert said == b"data: 1\n\ndata: 2\n\n"
    assert waits == [3, 1, 2]
    assert clock.slept == []


# -------------------------------------------------------------------------------------- retry libraries


class Busy(Exception):
    """What is raised until somebody gives up."""


def failing(times: int = 10**6) -> tuple[Callable[[], str], Callable[[], Any], list[int]]:
    """Return a function that fails so many times, the same as a coroutine function, and its calls."""
    calls: list[int] = []

    def ask() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise Busy
        return "sunny"

    async def ask_async() -> str:
        return ask()

    return ask, ask_async, calls


def test_tenacity(clock: Clock) -> None:
    ask, _, _ = failing(3)
    retry = tenacity.retry(wait=tenacity.wait_exponential(), stop=tenacity.stop_after_attempt(9))

    assert retry(ask)() == "sunny"
    assert clock.slept == [1, 2, 4]
    _, ask_async, _ = failing(2)
    assert asyncio.run(retry(ask_async)()) == "sunny"
    assert clock.slept == [1, 2, 4, 1, 2]


def test_tenacity_gives_up_after_its_time_though_none_has_passed(clock: Clock) -> None:
    ask, ask_async, _ = failing()
    retry = tenacity.retry(wait=tenacity.wait_fixed(10), stop=tenacity.stop_after_delay(45))

    with pytest.raises(tenacity.RetryError):
        retry(ask)()
    assert clock.slept == [10] * 5
    with pytest.raises(tenacity.RetryError):
        asyncio.run(retry(ask_async)())
    assert clock.slept == [10] * 10


def test_stamina(clock: Clock) -> None:
    ask, ask_async, calls = failing()
    waits: Any = {"wait_initial": 1, "wait_jitter": 0, "wait_max": 8}
    retry = stamina.retry(on=Busy, timeout=30, attempts=99, **waits)

    with pytest.raises(Busy):
        retry(ask)()
    assert clock.slept == [1, 2, 4, 8, 8, 8]
    assert len(calls) == 7
    with pytest.raises(Busy):
        asyncio.run(retry(ask_async)())
    assert clock.slept == [1, 2, 4, 8, 8, 8] * 2


def test_backoff(clock: Clock) -> None:
    ask, ask_async, calls = failing()
    retry = backoff.on_exception(backoff.constant, Busy, interval=20, max_time=70, jitter=None)

    with pytest.raises(Busy):
        retry(ask)()
    assert clock.slept[:3] == [20, 20, 20]
    assert clock.total == pytest.approx(70, abs=1)  # it sleeps no longer than what is left of its time
    assert len(calls) == 5
    with pytest.raises(Busy):
        asyncio.run(retry(ask_async)())
    assert clock.total == pytest.approx(140, abs=2)


def test_a_library_that_is_imported_later_measures_from_there(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(1000)
    library = ModuleType("mistralai.client.utils.retries")
    vars(library)["time"] = time
    monkeypatch.setitem(sys.modules, library.__name__, library)
    began = library.time.time()

    library.time.sleep(5)
    library.time.sleep(5)

    assert 9.9 < library.time.time() - began < 1000
    assert library.time.strptime is time.strptime
    assert clock.slept == [1000, 5, 5]


# ------------------------------------------------------------------------------------------------- SDKs


def provider(name: str, *statuses: int, **headers: str) -> Server:
    """Return a server that answers with these errors, and these headers, and then as the wire does."""
    wire = next(wire for wire in WIRES if wire.name == name)
    kinds = {429: "rate_limited", 500: "server_error"}
    left = list(statuses)
    given = {key.replace("_", "-"): value for key, value in headers.items()}

    def answer(received: Received) -> Reply:
        request = Request("POST", wire.asked().url, (), received.body)
        if not left:
            said = wire.code.encode_response(TURNS["text"].response, request)
            return Reply(said.status, said.headers, said.body)
        status = left.pop(0)
        error = wire.code.encode_error(kinds[status], request, status=status)
        kept = {key: value for key, value in error.headers if not key.startswith("retry-after")}
        return Reply(status, {**kept, **given}, error.body)

    return Server(answer)


def ask_openai(url: str, *, sync: bool = True) -> str:
    import openai

    options: Any = {"base_url": f"{url}/v1", "api_key": "none"}

    async def ask() -> Any:
        async with openai.AsyncOpenAI(**options) as client:
            return await client.chat.completions.create(model="m", messages=QUESTION)

    if not sync:
        return str(asyncio.run(ask()).choices[0].message.content)
    with openai.OpenAI(**options) as client:
        found = client.chat.completions.create(model="m", messages=QUESTION)
    return str(found.choices[0].message.content)


def ask_groq(url: str, *, sync: bool = True) -> str:
    import groq

    async def ask() -> Any:
        async with groq.AsyncGroq(base_url=url, api_key="none") as client:
            return await client.chat.completions.create(model="m", messages=QUESTION)

    if not sync:
        return str(asyncio.run(ask()).choices[0].message.content)
    with groq.Groq(base_url=url, api_key="none") as client:
        found = client.chat.completions.create(model="m", messages=QUESTION)
    return str(found.choices[0].message.content)


def ask_anthropic(url: str, *, sync: bool = True) -> str:
    import anthropic

    options: Any = {"model": "m", "messages": QUESTION, "max_tokens": 9}

    async def ask() -> Any:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as client:
            return await client.messages.create(**options)

    if not sync:
        return str(asyncio.run(ask()).content[0].text)
    with anthropic.Anthropic(base_url=url, api_key="none") as client:
        return str(client.messages.create(**options).content[0].text)


def ask_cohere(url: str, *, sync: bool = True) -> str:
    import cohere

    async def ask() -> Any:
        async with httpx.AsyncClient() as http:
            client = cohere.AsyncClientV2(api_key="none", base_url=url, httpx_client=http)
            return await client.chat(model="m", messages=QUESTION)

    if not sync:
        return str(asyncio.run(ask()).message.content[0].text)
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="none", base_url=url, httpx_client=http)
        found: Any = client.chat(model="m", messages=QUESTION)
    return str(found.message.content[0].text)


def ask_mistral(url: str, *, sync: bool = True) -> str:
    from mistralai.client import Mistral
    from mistralai.client.utils.retries import BackoffStrategy, RetryConfig

    config = RetryConfig("backoff", BackoffStrategy(500, 60_000, 1.5, 120_000), True)
    options: Any = {"server_url": url, "api_key": "none", "retry_config": config}

    async def ask() -> Any:
        async with Mistral(**options) as client:
            return await client.chat.complete_async(model="m", messages=QUESTION)

    if not sync:
        return str(asyncio.run(ask()).choices[0].message.content)
    with Mistral(**options) as client:
        return str(client.chat.complete(model="m", messages=QUESTION).choices[0].message.content)


def ask_gemini(url: str, *, sync: bool = True) -> str:
    from google import genai

    retries = genai.types.HttpRetryOptions(attempts=3, initial_delay=10, exp_base=2, jitter=0)
    options = genai.types.HttpOptions(base_url=url, retry_options=retries)
    client = genai.Client(api_key="none", http_options=options)
    given: Any = {"model": "m", "contents": "How is the weather in Paris?"}

    async def ask() -> Any:
        async with client.aio as asynchronous:
            return await asynchronous.models.generate_content(**given)

    found = client.models.generate_content(**given) if sync else asyncio.run(ask())
    client.close()
    return str(found.text)


def ask_bedrock(url: str) -> str:
    import boto3

    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="a",
        aws_secret_access_key="s",
    )
    found = client.converse(
        modelId="m", messages=[{"role": "user", "content": [{"text": "How is the weather?"}]}]
    )
    client.close()
    return str(found["output"]["message"]["content"][0]["text"])


both = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])


@both
@pytest.mark.parametrize(
    ("name", "ask"),
    [
        pytest.param("openai", ask_openai, id="openai"),
        pytest.param("anthropic", ask_anthropic, id="anthropic"),
        pytest.param("groq", ask_groq, id="groq"),
        pytest.param("mistral", ask_mistral, id="mistralai"),
        pytest.param("cohere", ask_cohere, id="cohere"),
    ],
)
def test_an_sdk_sleeps_as_long_as_it_is_told_to(clock: Clock, name: str, ask: Any, sync: Any) -> None:
    with provider(name, 429, 429, retry_after="7") as server:
        assert ask(server.url, sync=sync) == ANSWER

    assert clock.slept == [7, 7]
    assert len(server.requests) == 3


@both
@pytest.mark.parametrize(
    ("name", "ask", "expected"),
    [
        pytest.param("openai", ask_openai, [(0.375, 0.5), (0.75, 1)], id="openai"),
        pytest.param("anthropic", ask_anthropic, [(0.375, 0.5), (0.75, 1)], id="anthropic"),
        pytest.param("groq", ask_groq, [(0.375, 0.5), (0.75, 1)], id="groq"),
        pytest.param("cohere", ask_cohere, [(0.9, 1.1), (1.8, 2.2)], id="cohere"),
        pytest.param("mistral", ask_mistral, [(0.5, 1.5), (0.75, 1.75)], id="mistralai"),
        pytest.param("gemini", ask_gemini, [(10, 10), (20, 20)], id="google-genai"),
    ],
)
def test_an_sdk_sleeps_longer_and_longer(clock: Clock, name: str, ask: Any, expected: Any, sync: Any) -> None:
    with provider(name, 500, 500) as server:
        assert ask(server.url, sync=sync) == ANSWER

    for slept, (least, most) in zip(clock.slept, expected, strict=True):
        assert least <= slept <= most


@both
@pytest.mark.parametrize(
    ("name", "ask", "most"),
    [
        pytest.param("openai", ask_openai, None, id="openai"),
        pytest.param("anthropic", ask_anthropic, 300, id="anthropic"),
        pytest.param("groq", ask_groq, 0.5, id="groq"),
    ],
)
def test_what_an_sdk_does_if_told_to_sleep_for_minutes(
    clock: Clock, name: str, ask: Any, most: float | None, sync: Any
) -> None:
    with provider(name, 429, retry_after="300") as server, suppress(Exception):
        ask(server.url, sync=sync)

    assert len(clock.slept) == (0 if most is None else 1)
    assert clock.total <= (most or 0)


def test_boto3_sleeps_between_its_attempts(clock: Clock) -> None:
    with provider("bedrock converse", 500, 429) as server:
        assert ask_bedrock(server.url) == ANSWER

    assert len(server.requests) == 3
    assert len(clock.slept) == 2
    assert all(0 < slept < 20 for slept in clock.slept)


@both
def test_mistralai_gives_up_after_its_time_though_none_has_passed(clock: Clock, sync: Any) -> None:
    with provider("mistral", *[500] * 1000) as server, pytest.raises(Exception, match="500"):
        ask_mistral(server.url, sync=sync)

    assert 120 <= clock.total < 240
