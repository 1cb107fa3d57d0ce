"""In replay nothing leaves this machine, from any client, thread or loop, and it is told at once.

Rules:

* Every host that is not this machine is led to a listener here, by a look-up that notes who asked: what
  would have left is seen there, and not sent. What needs no look-up goes to an address that nobody has.
* A refusal is seen by the caller as it is, once: no SDK and no library asks again.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import aiohttp
import boto3
import botocore.config
import httplib2
import httpx
import httpx2
import pytest
import requests
import tornado.simple_httpclient
import urllib3
import uvloop

from llmreplay import use_cassette
from llmreplay.errors import Refusal, SwallowedRefusals
from tests.edges._clients import CHAT, ELSEWHERE, in_thread
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "provider.invalid"
BODY = b'{"model": "m", "messages": []}'


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The world outside: whoever looks a name up is led here, and is noted as a connection."""
    with Server(Reply.json({"leaked": True})) as server:
        there = socket.getaddrinfo
        looked_up: list[str] = []

        def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if host in (HOST, HOST.encode()):
                looked_up.append(str(host))
                return there(server.host, server.port, *args, **options)
            return there(host, port, *args, **options)

        uvloops, uvloops_connect = uvloop.Loop.getaddrinfo, uvloop.Loop.create_connection

        async def look_up_async(self: Any, host: Any, port: Any, **options: Any) -> Any:
            if host in (HOST, HOST.encode()):
                looked_up.append(str(host))
                host, port = server.host, server.port
            return await uvloops(self, host, port, **options)

        async def connect(
            self: Any, protocol: Any, host: Any = None, port: Any = None, **options: Any
        ) -> Any:
            if host in (HOST, HOST.encode()):
                looked_up.append(str(host))
                host, port = server.host, server.port
            return await uvloops_connect(self, protocol, host, port, **options)

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(uvloop.Loop, "getaddrinfo", look_up_async)
        monkeypatch.setattr(uvloop.Loop, "create_connection", connect)
        server.looked_up = looked_up
        yield server


def kept_in(server: Server) -> tuple[int, list[str]]:
    """What came to the world outside."""
    return server.connections, server.looked_up


# the clients; each asks once, with all retries that it has by default, and returns nothing


def with_httpx(url: str) -> None:
    with httpx.Client(verify=False, transport=httpx.HTTPTransport(retries=3)) as client:
        client.post(url, content=BODY)


def with_httpx2(url: str) -> None:
    with httpx2.Client(verify=False, transport=httpx2.HTTPTransport(retries=3)) as client:
        client.post(url, content=BODY)


def with_requests(url: str) -> None:
    with requests.Session() as client:
        client.mount("http://", requests.adapters.HTTPAdapter(max_retries=3))
        client.post(url, data=BODY, timeout=5)


def with_urllib3(url: str) -> None:
    with urllib3.PoolManager(retries=3) as client:
        client.request("POST", url, body=BODY)


def with_boto3(url: str) -> None:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url.partition("/v1")[0],
        aws_access_key_id="made-up",
        aws_secret_access_key="made-up",
        config=botocore.config.Config(retries={"max_attempts": 3}),
    )
    with closing(client):
        client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Hi"}]}])


def with_httplib2(url: str) -> None:
    with closing(httplib2.Http()) as client:
        client.request(url, "POST", body=BODY)


def with_urllib(url: str) -> None:
    urllib.request.urlopen(url, BODY).close()


def with_http_client(url: str) -> None:
    with closing(http.client.HTTPConnection(url.split("/")[2])) as client:
        client.request("POST", CHAT, BODY)
        client.getresponse()


SYNC = {
    "httpx": with_httpx,
    "httpx2": with_httpx2,
    "requests": with_requests,
    "urllib3": with_urllib3,
    "boto3": with_boto3,
    "httplib2": with_httplib2,
    "urllib": with_urllib,
    "http.client": with_http_client,
}


async def with_httpx_async(url: str) -> None:
    async with httpx.AsyncClient(verify=False, transport=httpx.AsyncHTTPTransport(retries=3)) as client:
        await client.post(url, content=BODY)


async def with_httpx2_async(url: str) -> None:
    async with httpx2.AsyncClient(verify=False, transport=httpx2.AsyncHTTPTransport(retries=3)) as client:
        await client.post(url, content=BODY)


async def with_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        (await client.post(url, data=BODY)).close()


async def with_aiohttp_get(url: str) -> None:
    # which aiohttp asks again if the server drops it
    async with aiohttp.ClientSession() as client:
        (await client.get(url)).close()


async def with_tornado(url: str) -> None:
    client = tornado.simple_httpclient.SimpleAsyncHTTPClient(force_instance=True)
    try:
        await client.fetch(url, method="POST", body=BODY)
    finally:
        client.close()


ASYNC = {
    "httpx": with_httpx_async,
    "httpx2": with_httpx2_async,
    "aiohttp": with_aiohttp,
    "aiohttp GET": with_aiohttp_get,
    "tornado": with_tornado,
}


def pooled(function: Callable[[], Any]) -> Any:
    """Run a function in a pool, which hands over what it raised."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).exception()


def here(function: Callable[[], Any]) -> Any:
    """Run a function, and return what it raised."""
    try:
        function()
    except BaseException as error:
        return error
    return None


async def in_executor(function: Callable[[], Any]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, function)


async def in_to_thread(function: Callable[[], Any]) -> None:
    await asyncio.to_thread(function)


WAYS: list[tuple[str, str, Callable[[str], Any]]] = [
    *((name, "sync", lambda url, ask=ask: here(lambda: ask(url))) for name, ask in SYNC.items()),
    *((name, "thread", lambda url, ask=ask: in_thread(lambda: ask(url))) for name, ask in SYNC.items()),
    *((name, "pool", lambda url, ask=ask: pooled(lambda: ask(url))) for name, ask in SYNC.items()),
    *(
        (name, "executor", lambda url, ask=ask: here(lambda: asyncio.run(in_executor(lambda: ask(url)))))
        for name, ask in SYNC.items()
    ),
    *(
        (name, "to_thread", lambda url, ask=ask: here(lambda: uvloop.run(in_to_thread(lambda: ask(url)))))
        for name, ask in SYNC.items()
    ),
    *(
        (name, "asyncio", lambda url, ask=ask: here(lambda: asyncio.run(ask(url))))
        for name, ask in ASYNC.items()
    ),
    *(
        (name, "uvloop", lambda url, ask=ask: here(lambda: uvloop.run(ask(url))))
        for name, ask in ASYNC.items()
    ),
    *(
        (name, "asyncio in a thread", lambda url, ask=ask: in_thread(lambda: asyncio.run(ask(url))))
        for name, ask in ASYNC.items()
    ),
    *(
        (name, "uvloop in a thread", lambda url, ask=ask: in_thread(lambda: uvloop.run(ask(url))))
        for name, ask in ASYNC.items()
    ),
]
TO = {
    "a model": f"{ELSEWHERE}{CHAT}",
    "a model by its address": f"http://192.0.2.1{CHAT}",
    "something else": f"{ELSEWHERE}/v1/weather",
    "something else by its address": "http://192.0.2.1/v1/weather",
}


@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")
@pytest.mark.parametrize("only", [None, "llm"], ids=["all HTTP", "models only"])
@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize(
    ("client", "how", "ask"), WAYS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_nothing_leaves_and_the_caller_is_told_at_once(tmp_path, outside, client, how, ask, *, to, only):
    if client == "boto3" and "something else" in to:
        pytest.skip("boto3 asks AWS alone")
    with use_cassette(tmp_path / "tape.yaml", only=only) as cassette:
        raised = ask(TO[to])
        refusals = [*cassette.refusals]
        cassette.refusals.clear()  # told

    assert kept_in(outside) == (0, [])
    assert isinstance(raised, Refusal), f"{raised!r}"
    # Kept once: nobody has asked again.
    assert refusals == [raised]


def test_the_world_outside_of_these_tests_would_have_seen_it(outside):
    # Without a session the same requests arrive: the tests above can fail.
    for ask in SYNC.values():
        here(lambda ask=ask: ask(f"{ELSEWHERE}:{outside.port}{CHAT}"))
    assert len(outside.looked_up) >= len(SYNC)
    assert len({received.header("user-agent") for received in outside.requests}) >= 6


def test_an_agent_that_swallows_every_refusal_fails_its_test_all_the_same(tmp_path, outside):
    def agent() -> None:
        for ask in SYNC.values():
            here(lambda ask=ask: ask(ELSEWHERE + CHAT))
        for ask in ASYNC.values():
            here(lambda ask=ask: uvloop.run(ask(ELSEWHERE + CHAT)))

    def careless() -> None:
        with use_cassette(tmp_path / "tape.yaml"):
            agent()

    with pytest.raises(SwallowedRefusals, match=f"{len(SYNC) + len(ASYNC)} requests had to be refused"):
        careless()
    assert kept_in(outside) == (0, [])


@pytest.mark.parametrize(
    ("client", "how", "ask"), WAYS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_allowed_host_is_reached(tmp_path, outside, client, how, ask):
    if client == "httplib2":
        pytest.skip("httplib2 connects to the name itself, which leads to nobody")
    with use_cassette(tmp_path / "tape.yaml", allowed_hosts=[HOST]) as cassette:
        raised = ask(f"{ELSEWHERE}:{outside.port}{CHAT}")
        if client == "boto3":
            raised = None  # an answer that AWS would not give
    assert raised is None
    assert cassette.calls == []
    assert outside.connections == 1
