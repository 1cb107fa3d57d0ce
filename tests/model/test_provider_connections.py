"""A provider as a model on a real connection: tokens as they come, broken lines, many loops and threads."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
import trio

from llmreplay import Cassette, ProviderModel, load, use_cassette
from llmreplay.completion import CompletionError, Final, HttpError, RequestError, TextDelta
from llmreplay.model import iterate_sync, run_sync
from tests.loopback import Gate, Reply, Server, refused_port

PLAIN = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Sunny."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}
FRAMES = [
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"It"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":" is"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":" sunny."},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


def model_at(server, **options):
    return ProviderModel.from_env("vllm/m", base_url=f"{server.url}/v1", **options)


def asked(model):
    return model.completion_request("How is Paris?")


def texts(events):
    return [event.text for event in events if isinstance(event, TextDelta)]


def test_tokens_are_told_as_they_come():
    gates = {number: Gate() for number in range(1, 4)}
    with Server(Reply.sse(FRAMES, gates=gates)) as server, model_at(server) as model:
        events = asked(model).stream_sync()
        for number, word in enumerate(["It", " is", " sunny."], 1):
            assert next(event.text for event in events if isinstance(event, TextDelta)) == word
            gates[number].open()
        assert isinstance(list(events)[-1], Final)


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_tokens_are_told_as_they_come_to_async_code(run):
    async def main() -> None:
        gates = {number: Gate() for number in range(1, 4)}
        with Server(Reply.sse(FRAMES, gates=gates)) as server:
            async with model_at(server) as model, asked(model).stream() as stream:
                found = []
                async for event in stream:
                    if isinstance(event, TextDelta):
                        found.append(event.text)
                        gates[len(found)].open()
            assert found == ["It", " is", " sunny."]
            assert stream.response is not None

    run(main) if run is trio.run else run(main())


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_compressed_is_read(coding):
    replies = [Reply.json(PLAIN, coding=coding), Reply.sse(FRAMES, coding=coding)]
    with Server(replies) as server, model_at(server) as model:
        assert asked(model).send_sync().text == "Sunny."
        assert texts(asked(model).stream_sync()) == ["It", " is", " sunny."]


def test_a_stream_that_is_left_lets_its_connection_go():
    with Server(Reply.sse(FRAMES, gates={1: Gate()})) as server, model_at(server) as model:
        events = asked(model).stream_sync()
        while not isinstance(next(events), TextDelta):
            pass

        events.close()

        server.wait_for_departures(1)


async def test_a_stream_that_is_cancelled_lets_its_connection_go():
    with Server(Reply.sse(FRAMES, gates={1: Gate()})) as server:
        async with model_at(server) as model, asked(model).stream() as stream:
            while not isinstance(await anext(stream), TextDelta):
                pass
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_of, stream)
                await anyio.lowlevel.checkpoint()
                stream.cancel()
            await anyio.to_thread.run_sync(server.wait_for_departures, 1)
        assert stream.response is None


async def _end_of(stream):
    assert [event async for event in stream] == []


# ------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("reply", "kind", "status"),
    [
        (Reply(ending="drop"), "connection", None),
        (Reply(ending="abort"), "connection", None),
        (Reply.sse(FRAMES[:2], ending="cut"), "connection", 200),
        (Reply.sse(FRAMES[:2]), "stream_truncated", 200),
        (Reply(200, {"content-encoding": "gzip"}, body=b"no gzip at all"), "connection", 200),
    ],
    ids=["dropped", "reset", "cut", "ended", "no gzip"],
)
async def test_a_line_that_breaks_is_an_http_error(reply, kind, status):
    for stream in (False, True):
        with Server(reply) as server:
            async with model_at(server) as model:
                with pytest.raises(HttpError) as caught:
                    if stream:
                        list(asked(model).stream_sync())
                    else:
                        await asked(model).send()
        assert (caught.value.kind, caught.value.status, caught.value.retryable) == (kind, status, True)


def test_a_server_that_says_nothing_is_a_timeout():
    silent = Server(Reply(ending="stall"))
    with silent, model_at(silent, timeout=0.1) as model, pytest.raises(HttpError) as caught:
        asked(model).send_sync()

    assert (caught.value.kind, caught.value.status) == ("timeout", None)


def test_a_stream_that_falls_silent_is_a_timeout():
    with Server(Reply.sse(FRAMES[:2], ending="hang")) as server, model_at(server, timeout=0.1) as model:
        found = []
        with pytest.raises(HttpError) as caught:
            for event in asked(model).stream_sync():
                found.append(event)  # noqa: PERF402  the loop raises

    assert (caught.value.kind, caught.value.status) == ("timeout", 200)
    assert texts(found) == ["It", " is"]


def test_a_server_that_is_not_there_is_a_connection_error():
    with refused_port() as port, pytest.raises(HttpError) as caught:
        asked(ProviderModel.from_env("vllm/m", base_url=f"http://127.0.0.1:{port}/v1")).send_sync()

    assert caught.value.kind == "connection"
    assert "ConnectError (connect)" in caught.value.message


def test_a_header_that_http_does_not_take_is_a_request_error():
    with Server(Reply.json(PLAIN)) as server, model_at(server, headers={"x": "a\nb"}) as model:
        for ask in (asked(model).send_sync, lambda: list(asked(model).stream_sync())):
            with pytest.raises(RequestError, match="cannot be sent to"):
                ask()

        assert server.requests == ()


def test_a_call_that_fails_live_fails_alike_when_it_is_replayed(tmp_path):
    replies = [
        Reply.sse(FRAMES[:2], ending="cut"),
        Reply(529, {"retry-after": "7", "x-request-id": "r"}, b"full"),
    ]
    errors = []
    with Server(replies) as server, model_at(server) as model:
        for record in ("once", "none"):
            with use_cassette(tmp_path / "broken.yaml", record=record):
                for _ in replies:
                    with pytest.raises(CompletionError) as caught:
                        list(asked(model).stream_sync())
                    errors.append(caught.value)

    live, replayed = errors[:2], errors[2:]
    assert [error.__dict__ for error in live] == [error.__dict__ for error in replayed]
    assert (live[1].status, live[1].retry_after, live[1].request_id) == (529, 7, "r")


def test_a_recording_has_no_key_in_it(tmp_path):
    secret = "sk-very-secret-0123456789"
    with Server(Reply.json(PLAIN)) as server, use_cassette(tmp_path / "chat.yaml", record="once"):
        with_key = model_at(server, api_key=secret)
        assert asked(with_key).send_sync().text == "Sunny."
        with_key.close()

    assert secret not in (tmp_path / "chat.yaml").read_text()
    assert isinstance(load(tmp_path / "chat.yaml"), Cassette)


# -------------------------------------------------------------------------- one model for many callers


def test_one_model_serves_many_threads_over_shared_connections():
    with Server(Reply.json(PLAIN)) as server, model_at(server) as model:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: asked(model).send_sync().text, range(12)))

        assert found == ["Sunny."] * 12
        assert len({request.connection for request in server.requests}) <= 4


async def test_one_model_serves_many_tasks():
    with Server(Reply.json(PLAIN)) as server:
        async with model_at(server) as model:
            found = await asyncio.gather(*(asked(model).send() for _ in range(12)))

    assert [response.text for response in found] == ["Sunny."] * 12


def test_one_model_serves_one_loop_after_the_other():
    async def ask(model: ProviderModel) -> str:
        async with model:
            return (await asked(model).send()).text + (await asked(model).send()).text

    with Server(Reply.json(PLAIN)) as server:
        model = model_at(server)
        found = [asyncio.run(ask(model)), trio.run(ask, model), asyncio.run(ask(model))]

        assert found == ["Sunny.Sunny."] * 3
        assert [request.connection for request in server.requests] == [0, 0, 1, 1, 2, 2]


def test_one_model_serves_loops_that_run_at_the_same_time():
    async def ask(model: ProviderModel) -> str:
        async with model:
            return (await asked(model).send()).text

    with Server(Reply.json(PLAIN)) as server, ThreadPoolExecutor(4) as pool:
        model = model_at(server)
        found = list(pool.map(lambda _: asyncio.run(ask(model)), range(8)))

    assert found == ["Sunny."] * 8


async def test_sync_code_inside_a_loop_is_served_by_the_sync_client():
    with Server(Reply.json(PLAIN)) as server:
        async with model_at(server) as model:
            assert asked(model).send_sync().text == (await asked(model).send()).text == "Sunny."


def test_a_client_of_a_loop_that_is_gone_is_let_go():
    async def ask(model: ProviderModel) -> None:
        async with model:
            await asked(model).send()

    with Server(Reply.json(PLAIN)) as server:
        model = model_at(server)
        asyncio.run(ask(model))
        gc.collect()

        assert len(model._clients) == 0


def test_a_model_can_be_used_again_after_it_was_closed():
    with Server(Reply.json(PLAIN)) as server:
        model = model_at(server)
        for _ in range(2):
            assert asked(model).send_sync().text == "Sunny."
            model.close()
        model.close()

        assert [request.connection for request in server.requests] == [0, 1]


def test_connections_of_a_sync_mirror_are_closed_with_its_loop():
    with Server([Reply.json(PLAIN), Reply.sse(FRAMES)]) as server:
        model = model_at(server)

        assert run_sync(lambda: asked(model).send()).text == "Sunny."
        assert texts(iterate_sync(asked(model).stream)) == ["It", " is", " sunny."]
        gc.collect()  # what is left open warns now, and fails the test


def test_models_need_no_http_client_until_a_provider_is_asked():
    code = "import sys, llmreplay.model; print([name for name in sys.modules if name in ('httpx', 'httpx2')])"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
