"""The clients whose responses come through vcrpy's stubs, behind the verbs of `_clients`.

Rules:

* What they see live is theirs, chunk by chunk; what is recorded of it is one chunk. `LACKING` names the
  tests of the contract that are about something else, or about what such a library does not have.
* Errors go by their names in httpx (`error`), as in `_clients`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import botocore.awsrequest
import botocore.exceptions
import botocore.httpsession
import httplib2
import requests
import tornado.httpclient
import tornado.simple_httpclient
import urllib3

from tests.edges._clients import PATIENCE, Edge, Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_KEPT = "chunk boundaries are not kept"
_PIECE = 65536


class Headers(tuple):
    """Headers as pairs, by the verb of httpx."""

    __slots__ = ()

    def multi_items(self) -> Headers:
        return self


@dataclass
class Answer:
    """A response, by the verbs of httpx."""

    status_code: int
    reason_phrase: str
    http_version: str
    headers: Headers
    raw: Any
    pieces: Any
    history: tuple[Any, ...] = ()

    def iter_bytes(self) -> Iterator[bytes]:
        """The body, decoded where the library does so."""
        yield from (piece for piece in self.pieces(decode=True) if piece)

    def iter_raw(self) -> Iterator[bytes]:
        """The body as it came."""
        yield from (piece for piece in self.pieces(decode=False) if piece)

    def read(self) -> bytes:
        """All of it."""
        return b"".join(self.iter_bytes())

    @property
    def content(self) -> bytes:
        return self.read()

    def json(self) -> Any:
        return json.loads(self.read())


@dataclass
class Before:
    """A response that led to another one."""

    status_code: int


@dataclass
class Client:
    """A client, by the verbs of httpx."""

    proxy: str | None = None
    timeout: float = PATIENCE

    def __post_init__(self) -> None:
        self._of_thread = threading.local()
        self._all: list[Any] = []

    @property
    def made(self) -> Any:
        """What keeps connections: one for each thread, since not all of them may be shared."""
        if not hasattr(self._of_thread, "made"):
            self._of_thread.made = self.make()
            self._all.append(self._of_thread.made)
        return self._of_thread.made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for made in self._all:
            self.close(made)

    @contextlib.contextmanager
    def stream(
        self, method: str, url: str, *, follow_redirects: bool = False, **options: Any
    ) -> Iterator[Answer]:
        """A response that is read while the block lasts."""
        body, headers = _written(options)
        answer = self.open(method, url, body, headers, follow=follow_redirects)
        try:
            yield answer
        finally:
            answer.raw.close()

    def post(self, url: str, **options: Any) -> Answer:
        """A response that has been read."""
        return self._read("POST", url, options)

    def get(self, url: str, **options: Any) -> Answer:
        """A response that has been read."""
        return self._read("GET", url, options)

    def _read(self, method: str, url: str, options: dict[str, Any]) -> Answer:
        with self.stream(method, url, **options) as answer:
            whole = answer.read()
        answer.pieces = lambda decode: [whole]
        return answer

    def make(self) -> Any:
        """Whatever keeps connections."""
        return None

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        """Send a request; give the response when its headers have come."""
        raise NotImplementedError

    def close(self, made: Any) -> None:
        """Close what is kept."""


def _written(options: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    headers = dict(options.get("headers", {}))
    if "json" in options:
        return json.dumps(options["json"]).encode(), {"content-type": "application/json", **headers}
    if "files" in options:
        fields = {**options["data"], **options["files"]}
        body, kind = urllib3.encode_multipart_formdata(fields)
        return body, {"content-type": kind, **headers}
    return options.get("content"), headers


def _version(number: int) -> str:
    return "HTTP/1.0" if number == 10 else "HTTP/1.1"


def _read1(response: Any) -> Any:
    def pieces(decode: bool) -> Iterator[bytes]:  # noqa: FBT001  it decodes nothing
        while piece := response.read1(_PIECE):
            yield piece

    return pieces


class Urllib3(Client):
    """urllib3."""

    def make(self) -> Any:
        return urllib3.ProxyManager(self.proxy) if self.proxy else urllib3.PoolManager()

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        found = self.made.request(
            method,
            url,
            body=body,
            headers=headers,
            preload_content=False,
            timeout=self.timeout,
            redirect=follow,
            retries=urllib3.Retry(5, connect=0, read=0, other=0) if follow else False,
        )

        def pieces(decode: bool) -> Iterator[bytes]:  # noqa: FBT001
            yield from found.stream(_PIECE, decode_content=decode)

        history = tuple(Before(past.status) for past in (found.retries.history if follow else ()))
        pairs = Headers((name.lower(), value) for name, value in found.headers.iteritems())
        return Answer(found.status, found.reason, _version(found.version), pairs, found, pieces, history)

    def close(self, made: Any) -> None:
        made.clear()


class Requests(Client):
    """requests."""

    def make(self) -> Any:
        session = requests.Session()
        session.trust_env = False
        return session

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        found = self.made.request(
            method,
            url,
            data=body,
            headers=headers,
            stream=True,
            timeout=self.timeout,
            allow_redirects=follow,
            proxies={"http": self.proxy} if self.proxy else None,
        )

        def pieces(decode: bool) -> Iterator[bytes]:  # noqa: FBT001
            yield from found.iter_content(None) if decode else found.raw.stream(_PIECE, decode_content=False)

        history = tuple(Before(past.status_code) for past in found.history)
        pairs = Headers((name.lower(), value) for name, value in found.raw.headers.iteritems())
        version = _version(found.raw.version)
        return Answer(found.status_code, found.reason, version, pairs, found, pieces, history)

    def close(self, made: Any) -> None:
        made.close()


class Botocore(Client):
    """What boto3 sends its requests with; it follows nothing and decodes what it reads whole."""

    def make(self) -> Any:
        proxies = {"http": self.proxy} if self.proxy else None
        return botocore.httpsession.URLLib3Session(timeout=self.timeout, proxies=proxies)

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        asked = botocore.awsrequest.AWSRequest(method, url, headers, body, stream_output=True)
        found = self.made.send(asked.prepare())
        raw = found.raw

        def pieces(decode: bool) -> Iterator[bytes]:  # noqa: FBT001
            yield from raw.stream(_PIECE, decode_content=decode)

        pairs = Headers((name.lower(), value) for name, value in raw.headers.iteritems())
        return Answer(found.status_code, raw.reason, _version(raw.version), pairs, raw, pieces)

    def close(self, made: Any) -> None:
        made.close()


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Urllib(Client):
    """urllib.request."""

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        asked = urllib.request.Request(url, body, headers, method=method)
        proxies = urllib.request.ProxyHandler({"http": self.proxy} if self.proxy else {})
        opener = urllib.request.build_opener(proxies, _Stays)
        try:
            found = opener.open(asked, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            found = error
        pairs = Headers((name.lower(), value) for name, value in found.headers.items())
        version = _version(getattr(found, "version", None) or found.fp.version)
        return Answer(found.status, found.reason, version, pairs, found, _read1(found))


class HttpClient(Client):
    """http.client, a connection for each host."""

    def make(self) -> Any:
        return {}

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        parts = urllib3.util.parse_url(url)
        via = urllib3.util.parse_url(self.proxy or url)
        connection = self.made.setdefault(
            via.netloc, http.client.HTTPConnection(via.host, via.port, timeout=self.timeout)
        )
        connection.request(method, url if self.proxy else parts.request_uri, body, headers)
        found = connection.getresponse()
        pairs = Headers((name.lower(), value) for name, value in found.getheaders())
        return Answer(found.status, found.reason, _version(found.version), pairs, found, _read1(found))

    def close(self, made: Any) -> None:
        for connection in made.values():
            connection.close()


class _Nothing:
    def close(self) -> None:
        """Nothing is open: the body came whole."""


def _whole_body(body: bytes) -> Any:
    return lambda decode: [body]


class Httplib2(Client):
    """httplib2: a body comes whole, and in front of redirects it stays."""

    def make(self) -> Any:
        return httplib2.Http(timeout=self.timeout)

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        self.made.follow_redirects = self.made.follow_all_redirects = follow
        found, content = self.made.request(url, method, body, headers)
        pairs = Headers((name.lower(), value) for name, value in found.items())
        history, past = [], found.previous
        while past is not None:
            history, past = [Before(past.status), *history], past.previous
        return Answer(
            found.status,
            found.reason,
            _version(found.version),
            pairs,
            _Nothing(),
            _whole_body(content),
            tuple(history),
        )

    def close(self, made: Any) -> None:
        made.close()


class Tornado(Client):
    """tornado, in a loop of its own for each request: a body comes whole."""

    def open(self, method: str, url: str, body: Any, headers: dict[str, str], *, follow: bool) -> Answer:
        if body is not None and not isinstance(body, bytes):
            body = b"".join(body)
        asked = tornado.httpclient.HTTPRequest(
            url,
            method,
            headers,
            body,
            follow_redirects=follow,
            request_timeout=self.timeout,
            allow_nonstandard_methods=True,
        )

        async def fetch() -> Any:
            client = tornado.simple_httpclient.SimpleAsyncHTTPClient(force_instance=True)
            try:
                return await client.fetch(asked, raise_error=False)
            finally:
                client.close()

        found = asyncio.run(fetch())
        if found.error is not None and found.code == 599:
            raise found.error
        pairs = Headers((name.lower(), value) for name, value in found.headers.get_all())
        return Answer(found.code, found.reason, "HTTP/1.1", pairs, _Nothing(), _whole_body(found.body))


# By the names in httpx: what is raised in place of an answer, and in the middle of one.
_OF_URLLIB3: dict[str, Any] = {
    "ConnectError": urllib3.exceptions.NewConnectionError,
    "ReadTimeout": urllib3.exceptions.ReadTimeoutError,
    "ReadError": urllib3.exceptions.ProtocolError,
    "RemoteProtocolError": urllib3.exceptions.ProtocolError,
    "DecodingError": urllib3.exceptions.DecodeError,
}
_OF_REQUESTS: dict[str, Any] = {
    "ConnectError": requests.ConnectionError,
    "ReadTimeout": requests.ReadTimeout,
    "ReadError": requests.ConnectionError,
    "RemoteProtocolError": requests.ConnectionError,
    "DecodingError": requests.exceptions.ContentDecodingError,
    "body": {
        "ReadTimeout": requests.ConnectionError,
        "ReadError": requests.exceptions.ChunkedEncodingError,
        "RemoteProtocolError": requests.exceptions.ChunkedEncodingError,
    },
}
_OF_BOTOCORE: dict[str, Any] = {
    "ConnectError": botocore.exceptions.EndpointConnectionError,
    "ReadTimeout": botocore.exceptions.ReadTimeoutError,
    "ReadError": botocore.exceptions.ConnectionClosedError,
    "RemoteProtocolError": botocore.exceptions.ConnectionClosedError,
    "DecodingError": urllib3.exceptions.DecodeError,
    "body": {
        "ReadTimeout": urllib3.exceptions.ReadTimeoutError,
        "ReadError": urllib3.exceptions.ProtocolError,
        "RemoteProtocolError": urllib3.exceptions.ProtocolError,
    },
}
_OF_HTTP_CLIENT: dict[str, Any] = {
    "ConnectError": ConnectionRefusedError,
    "ReadTimeout": TimeoutError,
    "ReadError": ConnectionResetError,
    "RemoteProtocolError": http.client.RemoteDisconnected,
    "body": {"RemoteProtocolError": http.client.IncompleteRead},
}
_OF_URLLIB: dict[str, Any] = {**_OF_HTTP_CLIENT, "ConnectError": urllib.error.URLError}
_OF_HTTPLIB2: dict[str, Any] = _OF_HTTP_CLIENT
_OF_TORNADO: dict[str, Any] = {
    "ConnectError": ConnectionRefusedError,
    "ReadTimeout": tornado.simple_httpclient.HTTPTimeoutError,
    "ReadError": ConnectionResetError,
    "RemoteProtocolError": tornado.simple_httpclient.HTTPStreamClosedError,
}


@dataclass(frozen=True, repr=False)
class BlobEdge(Edge):
    """A library whose responses come through vcrpy's stubs."""

    adapter: type[Client]
    errors: dict[str, Any]
    edge: str

    def __repr__(self) -> str:
        return self.adapter.__name__.lower()

    @property
    def noted_as(self) -> str:
        """The name by which a cassette knows the edge: requests goes over urllib3."""
        return self.edge

    def response(self) -> type:
        """The class of what it hands out: the adapter's, around the library's own."""
        return Answer

    def error(self, name: str, phase: str = "headers") -> type[Exception]:
        """The library's exception for what is called so in httpx."""
        in_body = self.errors.get("body", {}) if phase == "body" else {}
        return in_body.get(name, self.errors[name])

    def not_for(self, test: str) -> str | None:
        """Why a test of the contract is not for this library, or None."""
        reasons = (
            reason
            for pattern, edges, reason in LACKING
            if re.search(pattern, test) and (not edges or repr(self) in edges)
        )
        return next(reasons, None)

    def tells(self, seen: Seen, message: str) -> bool:
        """Whether the message is in what the library says around it."""
        return message in str(seen.message)

    def patience(self, read: float) -> dict[str, Any]:
        """The options of a client that waits so long for bytes."""
        return {"timeout": read}

    def client(self, **options: Any) -> Any:
        """A client."""
        return self.adapter(**options)


BLOB_EDGES = [
    BlobEdge(requests, "sync", Requests, _OF_REQUESTS, "urllib3"),
    BlobEdge(urllib3, "sync", Urllib3, _OF_URLLIB3, "urllib3"),
    BlobEdge(botocore, "sync", Botocore, _OF_BOTOCORE, "botocore"),
    BlobEdge(urllib.request, "sync", Urllib, _OF_URLLIB, "http.client"),
    BlobEdge(http.client, "sync", HttpClient, _OF_HTTP_CLIENT, "http.client"),
    BlobEdge(httplib2, "sync", Httplib2, _OF_HTTPLIB2, "httplib2"),
    BlobEdge(tornado, "sync", Tornado, _OF_TORNADO, "tornado"),
]

_WHOLE = ("httplib2", "tornado")
_UNCODED = ("urllib", "httpclient")
_NO_REDIRECTS = ("botocore", "urllib", "httpclient")
_TRANSPORTS = "transports are httpx's and aiohttp's; the places of vcrpy are tested in test_blobs"
# Tests by their names, the edges that lack what they are about (all, if there are none), and why.
LACKING: list[tuple[str, tuple[str, ...], str]] = [
    (r"elapsed|trace|upgrade", (), "this is httpx's own"),
    (r"transport|fakes|unix_socket|patch_below|patch_of_others|are_the_librarys_own", (), _TRANSPORTS),
    (r"in_the_same_pieces|each_chunk|chunk_remembers|three_chunks", (), NOT_KEPT),
    (r"left_early|left_after_the_last|cut_anew|takes_the_time|takes_half|seed_cuts|however_it", (), NOT_KEPT),
    (r"at_speed|takes_its_time|takes_as_long|taken_from_the_network", (), NOT_KEPT),
    (r"fault_is_recorded|fault_comes_after|error_event_inside", (), NOT_KEPT),
    (r"ones_own_server", _WHOLE, "a body comes whole"),
    (r"before_the_first_chunk", _WHOLE, "a body comes whole"),
    (
        r"said_to_be_coded",
        (),
        "it fails in the library's words, see test_blobs",
    ),
    (r"coded_body_is_replayed", _UNCODED, "it undoes no coding"),
    (r"coded_body_is_replayed.*-(br|zstd|deflate)", ("tornado",), "it undoes gzip alone"),
    (r"coded_body_is_replayed.*-(br|zstd)", ("httplib2",), "it undoes gzip and deflate alone"),
    (r"was_open_before", ("httpclient",), "what is left of an older connection is a guard, see test_blobs"),
    (
        r"was_open_before|allowed_host_is_reached|binary_bodies|elsewhere|body_keeps_its_headers",
        _WHOLE,
        "it has no plain HTTP proxy",
    ),
    (r"redirect", _NO_REDIRECTS, "it follows no redirect of a POST"),
    (r"retry_after_it", ("httplib2",), "it asks again by itself, see test_blobs"),
    (r"redirect", ("tornado",), "it follows redirects below its stub, as a part of one exchange"),
    (
        r"its_phase|met_again|is_its_nearest|mid_stream_keeps|failure_of_tls|from_the_keyboard",
        (),
        _TRANSPORTS,
    ),
]
