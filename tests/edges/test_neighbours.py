"""Beside others: mocks of other hosts, servers of one's own, and tests that know nothing of llmreplay."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx

from tests.edges._clients import CHAT, EDGES, Edge, leaves_generators, record, replay
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_httpx import HTTPXMock

MOCKED = "http://mocked.invalid/weather"
# respx and pytest-httpx know httpx only.
HTTPX_EDGES = [edge for edge in EDGES if edge.library is httpx]
ORDERS = ["mock first", "llmreplay first"]
OPENED = {"recording": record, "replaying": replay}

only_the_mocks_host = pytest.mark.httpx_mock(should_mock=lambda request: request.url.host == "mocked.invalid")


@pytest.fixture(params=HTTPX_EDGES, ids=repr)
def httpx_edge(request: pytest.FixtureRequest) -> Edge:
    """A client of the library that the mocks are for."""
    return request.param


@pytest.fixture
def server() -> Iterator[Server]:
    """A model on this machine."""
    with Server(Reply.json({"model": "answers"})) as server:
        yield server


@pytest.fixture
def recorded(tape: Path, server: Server) -> Path:
    """A cassette that holds one call of the model."""
    with record(tape):
        EDGES[0].read(server.url + CHAT)
    return tape


def both_orders(order: str, mocked: Any, opened: Any) -> Any:
    """Two contexts, entered in this order or that; gives what they give as (mock, cassette)."""

    @contextmanager
    def nested() -> Iterator[tuple[Any, Any]]:
        if order == "mock first":
            with mocked as mock, opened as cassette:
                yield mock, cassette
        else:
            with opened as cassette, mocked as mock:
                yield mock, cassette

    return nested()


# respx


def routed(using: str, passing: Server | None = None) -> respx.MockRouter:
    """A mock of one host, and of it alone if `passing` is a server that is to be reached."""
    router = respx.mock(using=using, assert_all_called=True)
    router.get(MOCKED).respond(json={"mock": "answers"})
    if passing is not None:
        router.route(host=passing.host).pass_through()
    return router


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize(("using", "order"), [*product(["httpcore", "httpx"], ORDERS)])
def test_a_host_that_respx_mocks_stays_the_mocks(httpx_edge, recorded, server, opened, *, using, order):
    # In replay a call of the model gets as far as respx only where respx stands above us.
    router = routed(using, server if opened == "recording" or using == "httpx" else None)
    with both_orders(order, router, OPENED[opened](recorded)) as (mock, cassette):
        assert httpx_edge.read(MOCKED, method="GET").body == b'{"mock":"answers"}'
        assert httpx_edge.read(server.url + CHAT).body == b'{"model": "answers"}'
        assert mock.routes[0].call_count == 1
    assert [exchange.request.url for exchange in cassette.calls] == [server.url + CHAT]
    assert len(server.requests) == (2 if opened == "recording" else 1)


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
def test_an_error_that_respx_mocks_is_not_recorded(httpx_edge, tape, using):
    router = respx.mock(using=using)
    router.get(MOCKED).mock(side_effect=httpx.ConnectError("mocked"))
    with router, record(tape) as cassette:
        assert httpx_edge.read(MOCKED, method="GET").error == "ConnectError"
    assert cassette.calls == []


def test_a_route_of_respx_that_nothing_calls_still_fails_the_test(recorded, server):
    with (
        pytest.raises(AssertionError, match="some routes were not called"),
        replay(recorded),
        routed("httpcore"),
    ):
        HTTPX_EDGES[0].read(server.url + CHAT)


# pytest-httpx: its fixture lives for the whole test, and the order is that of the arguments


@pytest.fixture(params=OPENED)
def first(request: pytest.FixtureRequest, recorded: Path) -> Iterator[Any]:
    """A session that is opened before the mock, and closed after it."""
    with OPENED[request.param](recorded) as cassette:
        yield cassette


@only_the_mocks_host
@pytest.mark.parametrize("opened", OPENED)
def test_a_host_that_pytest_httpx_mocks_before_stays_the_mocks(
    httpx_mock: HTTPXMock, httpx_edge, recorded, server, opened
):
    httpx_mock.add_response(url=MOCKED, json={"mock": "answers"})
    with OPENED[opened](recorded) as cassette:
        assert httpx_edge.read(MOCKED, method="GET").body == b'{"mock":"answers"}'
        assert httpx_edge.read(server.url + CHAT).body == b'{"model": "answers"}'
    assert [exchange.request.url for exchange in cassette.calls] == [server.url + CHAT]


@only_the_mocks_host
def test_a_host_that_pytest_httpx_mocks_after_stays_the_mocks(
    first, httpx_mock: HTTPXMock, httpx_edge, server
):
    httpx_mock.add_response(url=MOCKED, json={"mock": "answers"})
    assert httpx_edge.read(MOCKED, method="GET").body == b'{"mock":"answers"}'
    assert httpx_edge.read(server.url + CHAT).body == b'{"model": "answers"}'
    assert [exchange.request.url for exchange in first.calls] == [server.url + CHAT]


@only_the_mocks_host
def test_an_error_that_pytest_httpx_mocks_is_not_recorded(httpx_mock: HTTPXMock, httpx_edge, tape):
    httpx_mock.add_exception(httpx.ReadTimeout("mocked"), url=MOCKED)
    with record(tape) as cassette:
        assert httpx_edge.read(MOCKED, method="GET").error == "ReadTimeout"
    assert cassette.calls == []


# a mock of one's own below us, for either library


@pytest.mark.parametrize("opened", OPENED)
def test_a_host_that_a_patch_below_us_answers_is_not_recorded(edge, recorded, monkeypatch, opened):
    real = edge.transport().__dict__[edge.method()]

    def mock(self: Any, request: Any, otherwise: Callable[..., Any] = real) -> Any:
        if request.url.host == "mocked.invalid":
            return edge.library.Response(200, content=b"mock")
        return otherwise(self, request)

    async def mock_async(self: Any, request: Any) -> Any:
        answer = mock(self, request)
        return await answer if hasattr(answer, "__await__") else answer

    monkeypatch.setattr(edge.transport(), edge.method(), mock_async if edge.is_async else mock)
    with OPENED[opened](recorded, unused="ignore") as cassette:
        assert edge.read(MOCKED, method="GET").body == b"mock"
    assert cassette.calls == []


@leaves_generators
def test_a_call_of_a_model_that_a_patch_below_us_answers_is_recorded(edge, tape, monkeypatch):
    def mock(_self: Any, _request: Any) -> Any:
        return edge.library.Response(200, content=b"mock")

    async def mock_async(_self: Any, _request: Any) -> Any:
        return edge.library.Response(200, content=b"mock")

    with monkeypatch.context() as patch:
        patch.setattr(edge.transport(), edge.method(), mock_async if edge.is_async else mock)
        with record(tape):
            assert edge.read("http://provider.invalid" + CHAT).body == b"mock"
    with replay(tape):
        assert edge.read("http://provider.invalid" + CHAT).body == b"mock"


# no feature of llmreplay


def test_without_a_session_the_classes_are_the_librarys_own(edge, tape):
    with replay(tape):
        pass
    method = edge.transport().__dict__[edge.method()]
    assert method.__module__ == f"{edge.library.__name__}._transports.default"
    assert socket.getaddrinfo.__module__ == "socket"
    assert "connect_ex" not in socket.socket.__dict__


def test_to_import_llmreplay_patches_nothing_and_brings_no_http_client():
    program = """
import socket, sys
before = dict(socket.socket.__dict__)
import llmreplay
assert not {"httpx", "httpx2", "httpcore", "httpcore2"} & sys.modules.keys()
import httpx, httpx2
libraries = httpx, httpx2
classes = [kind for library in libraries for kind in (library.HTTPTransport, library.AsyncHTTPTransport)]
were = [dict(kind.__dict__) for kind in classes]
import llmreplay.use
assert were == [dict(kind.__dict__) for kind in classes]
assert before == dict(socket.socket.__dict__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_library_that_is_not_installed_is_not_missed(recorded, server, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.delitem(sys.modules, "httpx2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "httpx2" else find(name))
    with replay(recorded):
        assert HTTPX_EDGES[0].read(server.url + CHAT).body == b'{"model": "answers"}'
    assert "httpx2" not in sys.modules


def test_a_test_without_a_session_talks_to_whom_it_likes(edge, server):
    assert edge.read(server.url + CHAT).body == b'{"model": "answers"}'
    assert len(server.requests) == 1


def test_a_fake_transport_without_a_session_is_a_fake_transport(edge):
    fake = edge.library.MockTransport(lambda _request: edge.library.Response(418))
    assert edge.read(MOCKED, client={"transport": fake}).status == 418
