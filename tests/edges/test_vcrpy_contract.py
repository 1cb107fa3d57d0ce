"""What llmreplay relies on in vcrpy, each named by what breaks if a release of it changes that.

`llmreplay.intercept._vcrpy_stubs` and `_tornado` stand on these; the supported range is in pyproject.toml.
"""

from __future__ import annotations

import importlib
import inspect
import socket
from importlib.metadata import requires, version
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3.connection
import vcr.patch
import vcr.stubs
from packaging.requirements import Requirement
from packaging.version import Version
from vcr.patch import CassettePatcherBuilder, ConnectionRemover
from vcr.stubs import VCRConnection, VCRHTTPConnection, VCRHTTPResponse, VCRHTTPSConnection

from llmreplay.intercept import _vcrpy_stubs

STUBS = {
    "urllib3_stubs": ("VCRRequestsHTTPConnection", "VCRRequestsHTTPSConnection"),
    "boto3_stubs": ("VCRRequestsHTTPConnection", "VCRRequestsHTTPSConnection"),
    "httplib2_stubs": ("VCRHTTPConnectionWithTimeout", "VCRHTTPSConnectionWithTimeout"),
}
PLACES = {
    "urllib3.connectionpool.HTTPConnectionPool": {"ConnectionCls", "_get_conn", "_new_conn"},
    "urllib3.connectionpool.HTTPSConnectionPool": {"ConnectionCls", "_get_conn", "_new_conn"},
    "urllib3.connection": {"HTTPConnection", "HTTPSConnection", "VerifiedHTTPSConnection"},
    "urllib3.connectionpool": {"is_connection_dropped"},
    "botocore.awsrequest.AWSHTTPConnectionPool": {"ConnectionCls"},
    "botocore.awsrequest.AWSHTTPSConnectionPool": {"ConnectionCls"},
    "httplib2": {"SCHEME_TO_CONNECTION"},
}


def says(*, broken: str) -> str:
    """The message of a test that fails."""
    return f"vcrpy {version('vcrpy')} has changed: {broken}"


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_installed_vcrpy_is_one_that_is_supported():
    wanted = next(
        requirement
        for requirement in map(Requirement, requires("llmreplay") or [])
        if requirement.name == "vcrpy" and requirement.marker is None
    )
    assert str(wanted.specifier) == "<10,>=9.4"
    assert Version(version("vcrpy")) in wanted.specifier


def test_the_names_of_the_patchers_that_are_skipped_and_used_are_known():
    known = set(vcr.patch.PATCHER_NAMES)
    used = {"boto3", "urllib3", "httplib2"}
    assert set(_vcrpy_stubs._SKIPPED) | used == known, says(
        broken="there is a patcher that is neither skipped nor used, or one of them has another name"
    )
    assert vcr.patch.validate_skip_patchers(_vcrpy_stubs._SKIPPED) == _vcrpy_stubs._SKIPPED


def test_a_builder_asks_a_cassette_for_nothing_but_what_ours_has():
    asked: list[str] = []

    class Cassette:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return {"skip_patchers": vcr.patch.PATCHER_NAMES, "custom_patches": ()}[name]

    assert [*CassettePatcherBuilder(Cassette()).build()] == []
    assert set(asked) <= {"skip_patchers", "custom_patches"}, says(broken="the builder asks for more")
    assert hasattr(_vcrpy_stubs._Cassette, "skip_patchers")
    assert hasattr(_vcrpy_stubs._Cassette, "custom_patches")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("_build_patcher", ["self", "obj", "patched_attribute", "replacement_class"]),
        ("_get_cassette_subclass", ["self", "klass"]),
        ("_recursively_apply_get_cassette_subclass", ["self", "replacement_dict_or_obj"]),
        ("_patched_get_conn", ["self", "connection_pool_class", "connection_class_getter"]),
    ],
)
def test_the_methods_of_the_builder_that_are_overridden_are_called_as_they_were(method, expected):
    assert parameters(getattr(CassettePatcherBuilder, method)) == expected, says(
        broken=f"{method} of the builder"
    )


def test_the_builder_gives_all_the_places_and_what_empties_the_pools():
    places, removers = _vcrpy_stubs.places()
    found: dict[str, set[str]] = {}
    for place in places:
        owner = place.owner
        name = owner.__name__ if inspect.ismodule(owner) else f"{owner.__module__}.{owner.__qualname__}"
        found.setdefault(name, set()).add(place.attribute)
    # With PySocks there are the pools of socks proxies too.
    found = {name: attributes for name, attributes in found.items() if "socks" not in name}
    assert found == PLACES, says(broken="it patches in other places")
    assert len(removers) >= 2, says(broken="nothing takes its connections out of the pools")


@pytest.mark.parametrize("module", STUBS)
def test_the_stubs_are_where_they_were_and_know_what_they_stand_for(module):
    stubs = importlib.import_module(f"vcr.stubs.{module}")
    for name, secure in zip(STUBS[module], (VCRHTTPConnection, VCRHTTPSConnection), strict=True):
        stub = getattr(stubs, name, None)
        assert stub is not None, says(broken=f"{module}.{name} is gone")
        assert issubclass(stub, secure)
        assert stub.cassette is None, says(broken="a stub has a cassette before it is given one")
        assert issubclass(stub, stub._baseclass), says(broken="a stub is no connection of its library")


def test_a_stub_keeps_what_is_asked_and_sends_nothing():
    stub = VCRHTTPConnection.__new__(VCRHTTPConnection)
    real = SimpleNamespace(host="h.invalid", port=80, sock=None, _tunnel_host=None, close=lambda: None)
    stub.real_connection = real
    stub._sock = None
    VCRConnection.request(stub, "POST", "/path?q=1", b"body", {"name": "value"})

    asked = stub._vcr_request
    assert (asked.method, asked.uri) == ("POST", "http://h.invalid/path?q=1")
    assert (asked.body_bytes, dict(asked.headers)) == (b"body", {"name": "value"})
    assert not isinstance(stub.sock, socket.socket), says(broken="a stub connects when it is asked")

    VCRConnection.putrequest(stub, "PUT", "/other")
    stub.putheader("x-one", "1")
    VCRConnection.endheaders(stub, b"bo")
    VCRConnection.send(stub, b"dy")
    asked = stub._vcr_request
    assert (asked.method, asked.uri, asked.body_bytes) == ("PUT", "http://h.invalid/other", b"body")
    assert dict(asked.headers) == {"x-one": "1"}, says(broken="headers that are put one by one")


def test_a_stub_sets_on_its_real_connection_what_is_set_on_it_and_asks_it_for_the_rest():
    stub = VCRHTTPConnection.__new__(VCRHTTPConnection)
    stub.real_connection = SimpleNamespace(timeout=1, of_the_real_one="found", sock=None)
    stub.timeout = 2
    assert stub.real_connection.timeout == 2, says(broken="time-outs do not reach the real connection")
    assert stub.of_the_real_one == "found"
    stub.__dict__["own"] = 1
    assert not hasattr(stub.real_connection, "own")


def test_a_stub_names_the_host_by_a_method_of_its_own():
    stub = VCRHTTPConnection.__new__(VCRHTTPConnection)
    stub.real_connection = SimpleNamespace(host="::1", port=8080, _tunnel_host=None)
    stub._real_host = lambda: "[::1]"
    assert stub._uri("/x") == "http://[::1]:8080/x", says(broken="the address of a request is made elsewhere")
    assert stub._uri("http://proxied.invalid/x") == "http://proxied.invalid/x"


def test_the_stub_of_a_response_has_what_was_recorded():
    recorded = {
        "status": {"code": 200, "message": "OK"},
        "headers": {"a": ["1", "2"]},
        "body": {"string": b"body"},
    }
    found = VCRHTTPResponse(recorded)
    assert found.recorded_response is recorded, says(
        broken="what a cassette of vcrpy's answers is kept elsewhere"
    )


def test_vcrpy_notes_at_its_import_what_it_takes_for_the_libraries_own():
    noted = {"_HTTPConnection", "_HTTPSConnection", "_HttpxHttpTransport_handle_request"}
    assert noted <= vars(vcr.patch).keys(), says(
        broken="it keeps the libraries' own methods under other names"
    )
    assert vcr.patch._connHTTPConnection is urllib3.connection.HTTPConnection


def test_a_remover_is_left_as_a_context_is():
    assert parameters(ConnectionRemover.__exit__) == ["self", "args"]
    remover = ConnectionRemover(VCRHTTPConnection)
    assert remover.__exit__(None, None, None) is None, says(broken="a remover that saw nothing")


def test_the_stub_of_tornado_asks_a_cassette_and_calls_back():
    from tornado.httpclient import HTTPRequest
    from vcr.stubs.tornado_stubs import vcr_fetch_impl

    assert parameters(vcr_fetch_impl) == ["cassette", "real_fetch_impl"], says(broken="the stub of tornado")
    asked: list[str] = []

    class Cassette:
        write_protected = False

        def can_play_response_for(self, request: Any) -> bool:
            asked.append(request.uri)
            return True

        def play_response(self, request: Any) -> dict[str, Any]:
            asked.append(request.method)
            headers = [("a", ["1"])]
            return {"status": {"code": 200, "message": "OK"}, "headers": headers, "body": {"string": b"body"}}

    got: list[Any] = []
    client = SimpleNamespace(io_loop=SimpleNamespace(time=lambda: 1.0))
    request = HTTPRequest("http://h.invalid/", "GET")
    vcr_fetch_impl(Cassette(), client.io_loop.time)(client, request, got.append)
    assert asked == ["http://h.invalid/", "GET"]
    assert (got[0].code, got[0].body, got[0].headers["a"]) == (200, b"body", "1")


def test_what_tornado_got_is_given_to_the_cassette_before_it_is_called_back():
    from tornado.httpclient import HTTPRequest, HTTPResponse
    from vcr.stubs.tornado_stubs import vcr_fetch_impl

    order: list[Any] = []
    cassette = SimpleNamespace(
        write_protected=False,
        can_play_response_for=lambda _: False,
        append=lambda _, response: order.append(response),
    )
    request = HTTPRequest("http://h.invalid/", "GET")

    def real(client: Any, request: Any, callback: Any) -> None:
        callback(HTTPResponse(request, 599))

    vcr_fetch_impl(cassette, real)(SimpleNamespace(), request, lambda _: order.append("called back"))
    assert order[0]["status"]["code"] == 599
    assert order[0]["headers"] == []
    assert order[1] == "called back", says(broken="the order in which tornado's stub tells of a response")
