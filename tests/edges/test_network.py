"""While llmreplay replays, nothing leaves this machine, and what stays on it passes.

Rules:

* Names and addresses are reserved ones, which nobody owns. The tests put a guard of their own below
  llmreplay's, so that nothing is sent even where one of them fails.
"""

from __future__ import annotations

import _socket
import asyncio
import os
import socket
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio
import uvloop

from llmreplay import LiveCallBlocked, UnmatchedRequest
from llmreplay.environment import DUMMY_KEY
from llmreplay.errors import Refusal, SwallowedRefusals
from tests.edges._clients import CHAT, EDGES, ELSEWHERE, in_thread, leaves_generators, record, replay
from tests.loopback import Reply, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "provider.invalid"
ADDRESS = "192.0.2.1"
ADDRESS_6 = "2001:db8::1"
LOCAL = ("127.0.0.1", "::1", "localhost", None, "")


class ReachedOutError(Exception):
    """What llmreplay let pass has come to the guard of these tests."""


@pytest.fixture(autouse=True)
def second_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop what would be sent, below llmreplay."""

    def guarded(real: Any, which: int) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            target = args[which]
            host = target[0] if isinstance(target, tuple) else target
            host = host.decode() if isinstance(host, bytes) else host
            if host not in LOCAL and not Path(host).is_absolute():
                raise ReachedOutError(host)
            return real(*args, **options)

        return call

    for name, which in (("connect", 1), ("connect_ex", 1), ("sendto", -1), ("sendmsg", -1)):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name), which))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
        monkeypatch.setattr(socket, name, guarded(getattr(socket, name), 0))


def connect(address: tuple[Any, ...], how: str = "connect", family: int = socket.AF_INET) -> None:
    with closing(socket.socket(family)) as sock:
        getattr(sock, how)(address)


def send_datagram(*before: Any) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.sendto(b"x", *before, (ADDRESS, 53))


def send_message(sock: socket.socket | None = None) -> None:
    with closing(sock or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as made:
        made.sendmsg([b"x"], [], 0, (ADDRESS, 53))


def connect_datagrams() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.connect((ADDRESS, 53))


async def call(method: str, *args: Any) -> None:
    await getattr(asyncio.get_running_loop(), method)(*args)


async def connect_in_loop() -> None:
    with closing(socket.socket()) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (ADDRESS, 443))


async def open_datagrams(**options: Any) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **options)
    with closing(transport):
        transport.sendto(b"x", None if "remote_addr" in options else (ADDRESS, 53))


HERE = {"local_addr": ("127.0.0.1", 0)}


async def run_in_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, socket.getaddrinfo, NAME, 443)


WAYS_OUT: dict[str, Callable[[], Any]] = {
    "socket.connect": lambda: connect((ADDRESS, 443)),
    "socket.connect, IPv6": lambda: connect((ADDRESS_6, 443, 0, 0), family=socket.AF_INET6),
    "socket.connect by name": lambda: connect((NAME, 443)),
    "socket.connect_ex": lambda: connect((ADDRESS, 443), "connect_ex"),
    "socket.sendto": send_datagram,
    "socket.sendto with flags": lambda: send_datagram(0),
    "socket.sendmsg": send_message,
    "socket.connect, UDP": connect_datagrams,
    "socket.gethostbyaddr": lambda: socket.gethostbyaddr(NAME),
    "socket.getnameinfo": lambda: socket.getnameinfo((ADDRESS, 443), 0),
    "loop.getaddrinfo": lambda: asyncio.run(call("getaddrinfo", NAME, 443)),
    "loop.getnameinfo": lambda: asyncio.run(call("getnameinfo", (ADDRESS, 443))),
    "loop.sock_connect": lambda: asyncio.run(connect_in_loop()),
    "loop.create_datagram_endpoint": lambda: asyncio.run(open_datagrams(remote_addr=(ADDRESS, 53))),
    "socket.create_connection": lambda: socket.create_connection((ADDRESS, 443)),
    "socket.create_connection by name": lambda: socket.create_connection((NAME, 443)),
    "socket.getaddrinfo": lambda: socket.getaddrinfo(NAME, 443),
    "socket.getaddrinfo of bytes": lambda: socket.getaddrinfo(NAME.encode(), 443),
    "socket.getaddrinfo of an address": lambda: socket.getaddrinfo(ADDRESS, 443),
    "socket.gethostbyname": lambda: socket.gethostbyname(NAME),
    "socket.gethostbyname_ex": lambda: socket.gethostbyname_ex(NAME),
    "asyncio.open_connection": lambda: asyncio.run(asyncio.open_connection(ADDRESS, 443)),
    "asyncio.open_connection by name": lambda: asyncio.run(asyncio.open_connection(NAME, 443)),
    "run_in_executor": lambda: asyncio.run(run_in_executor()),
    "anyio.connect_tcp": lambda: anyio.run(anyio.connect_tcp, ADDRESS, 443),
    "anyio.connect_tcp by name": lambda: anyio.run(anyio.connect_tcp, NAME, 443),
    "trio.open_tcp_stream": lambda: trio.run(trio.open_tcp_stream, ADDRESS, 443),
    "trio.open_tcp_stream by name": lambda: trio.run(trio.open_tcp_stream, NAME, 443),
}


def refusal_in(error: BaseException) -> BaseException:
    """The refusal that an error is, or, if it went through a task group, holds."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_way_out_is_refused_at_once(tape, way):
    with pytest.raises(BaseException) as raised, replay(tape):  # noqa: PT011  a refusal may be in a group
        WAYS_OUT[way]()
    refusal = refusal_in(raised.value)
    assert type(refusal) is LiveCallBlocked
    assert refusal.host in (NAME, ADDRESS, ADDRESS_6)
    assert str(refusal).startswith(f"A live call to {refusal.host} was blocked.\n")
    assert not hasattr(raised.value, "__notes__")  # the session does not tell it again


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_way_out_is_free_again_after_the_session(tape, way):
    with replay(tape):
        pass
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        WAYS_OUT[way]()
    assert type(refusal_in(raised.value)) is ReachedOutError


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize(
    "options", [{"record": "rewrite"}, {"network": "allow"}], ids=["recording", "allowed"]
)
def test_every_way_out_is_free_where_the_network_is(tape, way, options):
    with pytest.raises(BaseException) as raised, replay(tape, **options):  # noqa: PT011
        WAYS_OUT[way]()
    assert type(refusal_in(raised.value)) is ReachedOutError


# What a second guard cannot stop: these are shown refused, and are never let go.
EARLIER = (socket.gethostbyname, socket.getaddrinfo)
BELOW: dict[str, Callable[[], Any]] = {
    "a function taken before": lambda: EARLIER[0](NAME),
    "another function taken before": lambda: EARLIER[1](NAME, 443),
    "_socket.socket.connect": lambda: with_c_socket(lambda sock: sock.connect((ADDRESS, 443))),
    "_socket.socket.connect_ex": lambda: with_c_socket(lambda sock: sock.connect_ex((ADDRESS, 443))),
    "_socket.socket.sendto": lambda: with_c_socket(lambda sock: sock.sendto(b"x", (ADDRESS, 53))),
    "_socket.socket.sendmsg": lambda: with_c_socket(lambda sock: sock.sendmsg([b"x"], [], 0, (ADDRESS, 53))),
    "_socket.getaddrinfo": lambda: _socket.getaddrinfo(NAME, 443),
    "_socket.gethostbyname_ex": lambda: _socket.gethostbyname_ex(NAME),
    "_socket.gethostbyaddr": lambda: _socket.gethostbyaddr(ADDRESS),
    "_socket.getnameinfo": lambda: _socket.getnameinfo((ADDRESS, 443), 0),
    "uvloop, connection": lambda: uvloop.run(asyncio.open_connection(ADDRESS, 443)),
    "uvloop, connection by name": lambda: uvloop.run(asyncio.open_connection(NAME, 443)),
    "uvloop, getaddrinfo": lambda: uvloop.run(call("getaddrinfo", NAME, 443)),
    "uvloop, getnameinfo": lambda: uvloop.run(call("getnameinfo", (ADDRESS, 443))),
    "uvloop, sock_connect": lambda: uvloop.run(connect_in_loop()),
    "uvloop, datagrams": lambda: uvloop.run(open_datagrams(remote_addr=(ADDRESS, 53))),
    "uvloop, datagrams to anybody": lambda: uvloop.run(open_datagrams(**HERE)),
    "uvloop, run_in_executor": lambda: uvloop.run(run_in_executor()),
}


def with_c_socket(use: Callable[[_socket.socket], Any]) -> None:
    with closing(_socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        use(sock)


@pytest.mark.parametrize("way", BELOW)
def test_every_way_below_python_is_refused_at_once(tape, way):
    with pytest.raises(LiveCallBlocked) as raised, replay(tape):
        BELOW[way]()
    assert raised.value.host in (NAME, ADDRESS)
    assert not hasattr(raised.value, "__notes__")


def test_a_datagram_whose_refusal_asyncio_swallows_is_not_sent_and_told_by_the_session(tape):
    def careless() -> None:
        with replay(tape):
            asyncio.run(open_datagrams(**HERE))

    with pytest.raises(SwallowedRefusals, match=f"A live call to {ADDRESS} was blocked"):
        careless()


def test_datagrams_on_this_machine_pass_in_either_loop(tape):
    async def there_and_back() -> bytes:
        came = asyncio.get_running_loop().create_future()

        class Here(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _addr: Any) -> None:
                came.set_result(data)

        loop = asyncio.get_running_loop()
        here, protocol = await loop.create_datagram_endpoint(Here, **HERE)
        there, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **HERE)
        assert isinstance(protocol, Here)
        there.sendto(b"ping", here.get_extra_info("sockname"))
        data = await came
        there.abort()
        here.close()
        assert here.is_closing()
        return data

    with replay(tape):
        assert asyncio.run(there_and_back()) == b"ping"
        assert uvloop.run(there_and_back()) == b"ping"


def test_the_name_of_this_machine_may_be_looked_up(tape, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: NAME)
    with pytest.raises(ReachedOutError), replay(tape):
        socket.gethostbyaddr(NAME)


def test_loops_look_up_and_connect_to_what_is_allowed(tape, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESS, 443))]

    async def look_up(_self: Any, _host: Any, _port: Any, **_: Any) -> Any:
        return found

    for loop in (asyncio.BaseEventLoop, uvloop.Loop):
        monkeypatch.setattr(loop, "getaddrinfo", look_up)

    async def reach() -> None:
        assert await asyncio.get_running_loop().getaddrinfo(NAME, 443) == found
        connect((ADDRESS, 443))

    for run in (asyncio.run, uvloop.run):
        with pytest.raises(ReachedOutError), replay(tape, allowed_hosts=[NAME]):
            run(reach())


def test_a_loop_asks_the_session_of_its_own_task_about_a_name(tape):
    async def main() -> None:
        async with replay(tape, unused="ignore") as own:
            inner = asyncio.Event()

            async def other() -> None:
                # Opened later, by another task: a thread would belong to this one.
                async with replay(tape.with_name("other.yaml")) as theirs:
                    inner.set()
                    await done.wait()
                    assert theirs.refusals == []

            done = asyncio.Event()
            task = asyncio.create_task(other())
            await inner.wait()
            with pytest.raises(LiveCallBlocked):
                await asyncio.get_running_loop().getaddrinfo(NAME, 443)
            assert len(own.refusals) == 1
            own.refusals.clear()
            done.set()
            await task

    asyncio.run(main())


def test_a_thread_that_knows_no_session_is_refused_too(tape):
    def careless() -> None:
        assert type(in_thread(lambda: socket.create_connection((ADDRESS, 443)))) is LiveCallBlocked

    with pytest.raises(SwallowedRefusals, match=f"A live call to {ADDRESS} was blocked"), replay(tape):
        careless()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"localhost", None])
def test_loopback_passes(tape, host):
    with Server(Reply(body=b"here")) as server, replay(tape):
        assert socket.getaddrinfo(host, server.port)
        with socket.create_connection((host or "127.0.0.1", server.port)):
            pass


def test_a_unix_socket_passes(edge, tape, tmp_path):
    path = str(tmp_path / "s")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere"

    def serve() -> None:
        for _ in range(2):
            with listener.accept()[0] as sock:
                sock.recv(65536)
                sock.sendall(answer)

    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        with replay(tape):
            for _ in range(2):
                made = edge.transport()(uds=path)
                assert (
                    edge.read("http://docker/version", client={"transport": made}, method="GET").body
                    == b"here"
                )
        thread.join()


# HTTP to other hosts


@leaves_generators
@pytest.mark.parametrize("url", [ELSEWHERE, f"http://{ADDRESS}", f"http://[{ADDRESS_6}]:8080"])
def test_http_that_is_no_model_call_is_refused_by_its_request(edge, tape, url):
    with pytest.raises(UnmatchedRequest) as raised, replay(tape):
        edge.read(f"{url}/weather", method="GET")
    assert raised.value.request.url == f"{url}/weather"
    assert not hasattr(raised.value, "__notes__")


@pytest.mark.parametrize("url", [ELSEWHERE, f"http://{ADDRESS}"])
def test_where_other_http_is_left_alone_it_is_blocked_all_the_same(edge, tape, url):
    with pytest.raises(LiveCallBlocked), replay(tape, only="llm"):
        edge.read(f"{url}/weather", method="GET")


def test_a_model_call_is_refused_before_any_connection(edge, tape):
    with Server(Reply.json({})) as server:
        for url in (server.url + CHAT, ELSEWHERE + CHAT):
            with pytest.raises(UnmatchedRequest), replay(tape):
                edge.read(url)
        assert server.connections == 0


def test_a_proxy_on_this_machine_is_no_way_out(edge, tape):
    with Server(Reply.json({})) as server:
        for options in ({}, {"only": "llm"}):
            with pytest.raises(Refusal), replay(tape, **options):
                edge.read(f"{ELSEWHERE}/weather", client={"proxy": server.url}, method="GET")
        assert server.requests == ()


def test_a_connection_that_was_open_before_the_session_is_no_way_out(edge, tape):
    async def use_async(proxy: str) -> None:
        async with edge.client(proxy=proxy) as client:
            assert (await client.get(ELSEWHERE)).content == b"1"
            with replay(tape):
                await client.get(ELSEWHERE)

    def use(proxy: str) -> None:
        if edge.is_async:
            edge.run(use_async, proxy)
        with edge.client(proxy=proxy) as client:
            assert client.get(ELSEWHERE).content == b"1"
            with replay(tape):
                client.get(ELSEWHERE)

    with Server([Reply(body=b"1"), Reply(body=b"2")]) as server:
        with pytest.raises(UnmatchedRequest):
            use(server.url)
        assert (len(server.requests), server.connections) == (1, 1)


def test_a_trace_of_the_callers_own_goes_on_and_stays_his(edge, tape):
    events: list[str] = []

    def trace(event: str, _info: Any) -> None:
        events.append(event)

    async def trace_async(event: str, _info: Any) -> None:
        events.append(event)

    own = trace_async if edge.is_async else trace
    with Server(Reply(body=b"here")) as server, replay(tape, allowed_hosts=[NAME]):
        seen = edge.read(ELSEWHERE, client={"proxy": server.url}, method="GET", extensions={"trace": own})
    assert seen.body == b"here"
    assert "http11.send_request_headers.started" in events
    assert seen.response.request.extensions["trace"] is own


@pytest.mark.parametrize("host", [NAME, NAME.upper(), "invalid"])
def test_an_allowed_host_is_reached_live_and_never_recorded(edge, tape, host):
    with Server(Reply.json({"live": True})) as server:
        for opened in (record, replay):
            with opened(tape, allowed_hosts=[host]) as cassette:
                for path in ("/weather", CHAT):
                    assert edge.read(ELSEWHERE + path, client={"proxy": server.url}).body == b'{"live": true}'
            assert cassette.calls == []
        assert len(server.requests) == 4


def test_a_host_that_only_sounds_like_an_allowed_one_is_refused(edge, tape):
    with Server(Reply()) as server, pytest.raises(Refusal), replay(tape, allowed_hosts=["der.invalid"]):
        edge.read(ELSEWHERE, client={"proxy": server.url})
    assert server.requests == ()


def test_an_allowed_host_may_be_looked_up(tape):
    with pytest.raises(ReachedOutError), replay(tape, allowed_hosts=[NAME]):
        socket.getaddrinfo(NAME, 443)
    with pytest.raises(LiveCallBlocked), replay(tape, allowed_hosts=[NAME]):
        socket.getaddrinfo("other.invalid", 443)


def test_the_addresses_of_an_allowed_host_may_be_connected_to(tape, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ADDRESS, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)

    def connect_to(name: str | None) -> None:
        with replay(tape, allowed_hosts=[NAME]):
            if name is not None:
                socket.getaddrinfo(name, 443)
            connect((ADDRESS, 443))

    with pytest.raises(ReachedOutError):
        connect_to(NAME)
    with pytest.raises(LiveCallBlocked):
        connect_to(None)


# one's own server


def test_ones_own_server_on_this_machine_is_undisturbed(edge, tape):
    with Server(Reply.sse([b"a", b"b"], lockstep=True)) as server:
        url = server.url.replace("127.0.0.1", "localhost") + "/events"
        for opened in (record, replay):
            with opened(tape) as cassette:
                assert edge.read(url, server.step, method="GET").chunks == [b"a", b"b"]
            assert cassette.calls == []
        assert len(server.requests) == 2
    assert not tape.exists()


# refusals on their way up


@contextmanager
def refused_call(edge: Any, tape: Path) -> Iterator[Any]:
    """An async call that is refused."""

    async def call() -> None:
        async with edge.client() as client:
            await client.post(ELSEWHERE + CHAT, json={})

    with replay(tape):
        yield call


def test_gather_hands_a_refusal_over_and_the_session_tells_of_it(tape):
    edge = next(edge for edge in EDGES if edge.kind == "asyncio")

    async def gathered(call: Any) -> list[Any]:
        return await asyncio.gather(call(), call(), return_exceptions=True)

    def careless() -> None:
        with refused_call(edge, tape) as call:
            assert [type(result) for result in asyncio.run(gathered(call))] == [UnmatchedRequest] * 2

    with pytest.raises(SwallowedRefusals, match="2 requests had to be refused"):
        careless()


def test_a_task_group_groups_a_refusal_and_it_is_told_once(async_edge, tape):
    async def grouped(call: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(call)

    def groups() -> None:
        with refused_call(async_edge, tape) as call:
            async_edge.run(grouped, call)

    with pytest.raises(BaseExceptionGroup) as raised:
        groups()
    assert type(refusal_in(raised.value)) is UnmatchedRequest
    assert not hasattr(raised.value, "__notes__")


def test_an_except_exception_does_not_catch_a_refusal(edge, tape):
    def careful() -> None:
        try:
            edge.read(ELSEWHERE + CHAT)
        except Exception:
            pytest.fail("it was swallowed")

    with pytest.raises(UnmatchedRequest), replay(tape):
        careful()


# keys


def test_keys_that_are_not_set_are_lent_while_nothing_is_live_and_no_longer(tape, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("GROQ_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "own")
    with replay(tape):
        with replay(tape.with_name("inner.yaml")):
            pass
        assert os.environ["OPENAI_API_KEY"] == os.environ["GROQ_API_KEY"] == DUMMY_KEY
        assert os.environ["ANTHROPIC_API_KEY"] == "own"
    assert "OPENAI_API_KEY" not in os.environ
    assert os.environ["ANTHROPIC_API_KEY"] == "own"


def test_a_key_that_was_set_to_nothing_is_nothing_again(tape, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "")
    with replay(tape):
        pass
    assert os.environ["GROQ_API_KEY"] == ""


def test_a_key_that_the_test_sets_meanwhile_stays(tape, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "")
    with replay(tape):
        os.environ["OPENAI_API_KEY"] = "set meanwhile"
    assert os.environ["OPENAI_API_KEY"] == "set meanwhile"


def test_no_key_is_lent_where_requests_go_out(tape, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with record(tape):
        assert "OPENAI_API_KEY" not in os.environ
