"""vcrpy's cassettes are read as they are in the wild, and written so that stock vcrpy plays them."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from textwrap import dedent, indent
from time import perf_counter

import brotli
import httpx
import httpx2
import pytest
import vcr
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmreplay.cassette import _vcr, _vcr_tree
from llmreplay.errors import BrokenCassette
from llmreplay.exchange import Chunk, Exchange, Failure, Provenance, Request, Response

PATH = Path("cassettes/weather.yaml")
URL = "https://api.example.com/v1/chat"
REPLY = b'{"answer":"It rains in \xc3\x85lesund."}'


def read(text: str) -> list[Exchange]:
    return _vcr.read(dedent(text).encode(), PATH)


def broken(text: str | bytes) -> BrokenCassette:
    data = dedent(text).encode() if isinstance(text, str) else text
    with pytest.raises(BrokenCassette) as caught:
        _vcr.read(data, PATH)
    assert caught.value.path == PATH
    return caught.value


def request_of(body: str, headers: str = "{}") -> Request:
    """Read a request whose body is given as YAML."""
    text = f"interactions:\n- request:\n    method: POST\n    uri: {URL}\n    headers: {headers}\n"
    body = indent(dedent(body).strip("\n"), "    ")
    text += f"{body}\n  response:\n    status: {{code: 204, message: No Content}}\n    headers: {{}}\n"
    return read(text)[0].request


def response_of(rest: str, status: str = "{code: 200, message: OK}", method: str = "POST") -> Response:
    """Read a response whose headers and body are given as YAML."""
    text = f"interactions:\n- request: {{method: {method}, uri: '{URL}', body: null, headers: {{}}}}\n"
    text += (
        f"  response:\n    status: {status}\n" + indent(dedent(rest).strip("\n"), "    ") + "\nversion: 1\n"
    )
    response = read(text)[0].response
    assert response is not None
    return response


def binary(data: bytes) -> str:
    return f"!!binary {base64.b64encode(data).decode()}"


# --- the current form ---------------------------------------------------------------------------------


def test_an_interaction_becomes_an_exchange() -> None:
    [exchange] = read(
        """
        interactions:
        - request:
            body: '{"model": "small"}'
            headers:
              content-type: [application/json]
              X-Two: [a, b]
            method: POST
            uri: https://api.example.com/v1/chat?beta=true
          response:
            body:
              string: '{"answer": 42}'
            headers:
              Content-Type:
              - application/json
              set-cookie:
              - one=1
              - two=2
            status:
              code: 200
              message: OK
        version: 1
        """
    )

    assert exchange == Exchange(
        Request(
            "POST",
            "https://api.example.com/v1/chat?beta=true",
            (("content-type", "application/json"), ("X-Two", "a"), ("X-Two", "b")),
            b'{"model": "small"}',
        ),
        Response.of(
            200,
            b'{"answer": 42}',
            (("Content-Type", "application/json"), ("set-cookie", "one=1"), ("set-cookie", "two=2")),
        ),
        provenance=Provenance("imported", boundaries=False),
    )


def test_a_cassette_without_version_or_without_interactions_is_read() -> None:
    assert read("interactions: []\n") == []
    assert read("interactions:\nversion: 1\n") == []


def test_a_cassette_of_the_json_serializer_is_read() -> None:
    interaction = {
        "request": {
            "method": "POST",
            "uri": URL,
            "body": '{"text": "😀"}',
            "headers": {"a": ["1", None], "b": 2},
        },
        "response": {
            "status": {"code": 200, "message": None},
            "headers": {},
            "body": {"string": REPLY.decode()},
        },
    }
    text = json.dumps({"version": 1, "interactions": [interaction, interaction]}, indent=4)

    exchanges = _vcr.read(text.encode(), PATH)

    assert [exchange.response.body for exchange in exchanges if exchange.response] == [REPLY, REPLY]
    assert exchanges[0].request.body == '{"text": "😀"}'.encode()
    assert exchanges[0].request.headers == (("a", "1"), ("b", "2"))


def test_the_loader_in_python_serves_where_the_one_in_c_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(_vcr_tree, "_LOADER", yaml.SafeLoader)

    assert response_of(f"headers: {{}}\nbody: {{string: {binary(REPLY)}}}").body == REPLY
    assert "line 3: not YAML" in str(broken("interactions:\n- request: {}\n  \x1b: 1\n"))


def test_a_byte_order_mark_is_no_damage() -> None:
    assert _vcr.read(b"\xef\xbb\xbfinteractions: []\n", PATH) == []
    assert _vcr.looks_like(b"\xef\xbb\xbfinteractions: []\n")


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "body"),
    [
        ("body: 'text'", b"text"),
        ("body: null", b""),
        ("body:", b""),
        ("body: ''", b""),
        ("{}", b""),
        ("body: {string: 'text'}", b"text"),
        ("body: {string: null}", b""),
        ("body: {base64_string: '/wA='}", b"\xff\x00"),
        ("body: !!binary /wA=", b"\xff\x00"),
        ("body: !!binary not base64", b"not base64"),
        ("body: 2024-01-01", b"2024-01-01"),
        ("body: {q: oslo, n: 1}", b'{"q":"oslo","n":1}'),
        ("body: [one, !!binary dHdv]", b"onetwo"),
        ("body: [{a: 1}]", b'[{"a":1}]'),
        ("body: !!python/unicode 'text'", b"text"),
        ("body: !!python/object/apply:builtins.iter [[one, two]]", b"onetwo"),
        (
            "body: !!python/object/new:_io.BytesIO {state: !!python/tuple [!!binary /wA=, 0, null]}",
            b"\xff\x00",
        ),
        ("body: !!python/object/new:some.Dict {dictitems: {a: 1}}", b'{"a":1}'),
        ("body: !!python/object/apply:some.thing {}", b""),
        ("body: !custom text", b"text"),
        ("parsed_body: {a: [1, 2.5, true, null, ø]}", '{"a":[1,2.5,true,null,"ø"]}'.encode()),
        ("parsed_body: null", b"null"),
        ("parsed_body: null\nbody: 'text'", b"text"),
        ("parsed_body: {a: 1}\nbody: 'text'", b'{"a":1}'),
        ("parsed_body: 'data: one'", b"data: one"),
    ],
)
def test_a_body_is_read_whatever_a_serializer_or_filter_made_of_it(stored, body) -> None:
    stored = "" if stored == "{}" else stored

    assert request_of(stored).body == body


def test_a_parsed_body_of_text_is_a_json_string_under_a_json_content_type() -> None:
    assert request_of("parsed_body: 'one'", "{content-type: [application/json]}").body == b'"one"'


def test_an_array_of_strings_is_json_under_a_json_content_type() -> None:
    assert request_of("body: [one, two]", "{content-type: [application/json]}").body == b'["one","two"]'


def test_json_in_a_parsed_body_means_what_json_means_by_it() -> None:
    body = request_of(
        """
        parsed_body:
          date: 2024-01-01
          time: 12:30:45
          yes: yes
          'off': off
          true: True
          null: ~
          octal: 017
          number: -12
          float: 1.5e+3
          exponent: 1e5
          day: 12:30:45.5
          under: 1_000.5
          beyond: [.inf, -.inf]
          bytes: !!binary aGk=
        """
    ).json

    assert body == {
        "date": "2024-01-01",
        "time": "12:30:45",
        "yes": "yes",
        "off": "off",
        "true": True,
        "null": None,
        "octal": "017",
        "number": -12,
        "float": 1500.0,
        "exponent": "1e5",
        "day": "12:30:45.5",
        "under": 1000.5,
        "beyond": [float("inf"), float("-inf")],
        "bytes": "hi",
    }


@pytest.mark.parametrize(
    ("length", "body"),
    [
        (14, '{"a":1,"ø":2}'.encode()),
        (17, '{"a": 1, "ø": 2}'.encode()),
        (18, b'{"a":1,"\\u00f8":2}'),
        (15, '{"a":1,"ø":2}\n'.encode()),
        (23, '{\n  "a": 1,\n  "ø": 2\n}'.encode()),
        (99, '{"a":1,"ø":2}'.encode()),
    ],
)
def test_a_parsed_body_is_spelled_as_long_as_it_was_on_the_wire(length, body) -> None:
    response = response_of(f"headers: {{content-length: ['{length}']}}\nparsed_body: {{a: 1, ø: 2}}")

    assert response.body == body
    assert response.header("content-length") == str(len(body))


# --- headers and other places where text is expected -------------------------------------------------


@pytest.mark.parametrize(
    "text", ["2024-01-01", "12:30:45", "1e3", "0x1F", "yes", "NO", "null", "~", "1_000", "3.10"]
)
def test_text_stays_text_where_yaml_would_make_something_else_of_it(text) -> None:
    request = request_of("body: ''", f"{{one: {text}, two: [{text}]}}")

    assert request.headers == (("one", text), ("two", text))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("{a: one}", (("a", "one"),)),
        ("{a: [one, [two, three]]}", (("a", "one"), ("a", "two"), ("a", "three"))),
        ("{a: !!binary b25l, !!binary Yg==: [!!binary /w==]}", (("a", "one"), ("b", "ÿ"))),
        ("{a: []}", ()),
        ("null", ()),
        ("[[a, one], [a, two]]", (("a", "one"), ("a", "two"))),
        ("!!python/object/apply:multidict._multidict.CIMultiDict [[[a, one]]]", (("a", "one"),)),
        ("!!python/object/apply:multidict.CIMultiDict {args: [[!!python/tuple [a, one]]]}", (("a", "one"),)),
        ("{? !!python/object/apply:multidict._multidict.istr [Accept] : [one]}", (("Accept", "one"),)),
        ("{? !!python/object/apply:istr [A] : [one], A: [two]}", (("A", "one"), ("A", "two"))),
        ("{a: 雨}", (("a", "雨".encode().decode("latin-1")),)),
    ],
)
def test_headers_are_read_whatever_they_were_kept_in(headers, expected) -> None:
    assert request_of("body: ''", headers).headers == expected


def test_a_foreign_tag_executes_nothing(tmp_path) -> None:
    target = tmp_path / "made"

    request = request_of(f"body: !!python/object/apply:os.mkdir ['{target}']")

    assert request.body == str(target).encode()
    assert not target.exists()


def test_a_placeholder_for_a_uri_is_kept() -> None:
    text = "interactions:\n- request: {method: post, uri: <ENDPOINT>/v1, body: ''}\n"
    [exchange] = read(text + "  response: {status: {code: 200}, body: {string: ''}}\n")

    assert (exchange.request.method, exchange.request.url) == ("POST", "<ENDPOINT>/v1")


# --- responses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("{code: 200, message: OK}", (200, None)),
        ("{code: 200, message: Fine}", (200, "Fine")),
        ("{code: 200, message: null}", (200, None)),
        ("{code: 200, message: ''}", (200, None)),
        ("{code: '529', message: Overloaded}", (529, "Overloaded")),
        ("{code: 529}", (529, None)),
        ("404", (404, None)),
        ("404 Not Found", (404, None)),
    ],
)
def test_a_reason_is_kept_only_if_it_is_not_the_standard_one(status, expected) -> None:
    response = response_of("headers: {}\nbody: {string: x}", status)

    assert (response.status, response.reason) == expected


@pytest.mark.parametrize(
    ("stored", "spelled"),
    [
        ("HTTP/1.1", "HTTP/1.1"),
        ("HTTP/1.0", "HTTP/1.0"),
        ("HTTP/2", "HTTP/2"),
        ("HTTP/2.0", "HTTP/2"),
        ("11", "HTTP/1.1"),
        ("10", "HTTP/1.0"),
        ("unknown", "HTTP/1.1"),
    ],
)
def test_the_old_httpx_shape_is_read(stored, spelled) -> None:
    text = f"interactions:\n- request: {{method: GET, uri: '{URL}', body: '', headers: {{}}}}\n"
    text += f"  response: {{content: It rains., headers: {{}}, http_version: {stored}, status_code: 200}}\n"

    [exchange] = read(text)

    assert exchange.response == Response(200, (), (Chunk(b"It rains."),), http_version=spelled)


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        ("gzip", gzip.compress(REPLY, mtime=0)),
        ("br", brotli.compress(REPLY)),
        ("gzip, br", brotli.compress(gzip.compress(REPLY, mtime=0))),
    ],
    ids=["gzip", "br", "both"],
)
def test_a_compressed_body_is_decoded_and_its_headers_with_it(coding, coded) -> None:
    headers = f"{{content-encoding: ['{coding}'], content-length: ['{len(coded)}'], etag: [x]}}"

    response = response_of(f"headers: {headers}\nbody: {{string: {binary(coded)}}}")

    assert response.body == REPLY
    assert response.encoding == coding
    assert response.headers == (("content-length", str(len(REPLY))), ("etag", "x"))


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "compress", "identity"])
def test_the_header_of_a_coding_that_was_undone_before_is_dropped(coding) -> None:
    response = response_of(f"headers: {{Content-Encoding: {coding}}}\nbody: {{string: '{REPLY.decode()}'}}")

    assert (response.body, response.headers, response.encoding) == (REPLY, (), None)


def test_a_body_that_cannot_be_decoded_keeps_its_bytes_and_its_header() -> None:
    damaged = gzip.compress(REPLY, mtime=0)[:-8] + b"\0" * 8

    response = response_of(f"headers: {{content-encoding: [gzip]}}\nbody: {{string: {binary(damaged)}}}")

    assert (response.body, response.headers) == (damaged, (("content-encoding", "gzip"),))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("{Content-Length: ['2']}", (("Content-Length", "2"),)),
        ("{Content-Length: ['700'], etag: [x]}", (("Content-Length", "2"), ("etag", "x"))),
        ("{content-length: ['700'], Transfer-Encoding: [chunked]}", (("Transfer-Encoding", "chunked"),)),
        (
            "{content-length: ['2'], transfer-encoding: [chunked]}",
            (("content-length", "2"), ("transfer-encoding", "chunked")),
        ),
    ],
)
def test_a_wrong_content_length_is_put_right_or_dropped(headers, expected) -> None:
    assert response_of(f"headers: {headers}\nbody: {{string: ok}}").headers == expected


def test_a_response_without_body_keeps_the_length_of_what_it_speaks_of() -> None:
    head = response_of("headers: {content-length: ['700']}\nbody: {string: ''}", method="HEAD")
    unchanged = response_of("headers: {content-length: ['700']}", "{code: 304}")

    assert head.headers == unchanged.headers == (("content-length", "700"),)
    assert head.chunks == unchanged.chunks == ()


def test_a_compressed_request_body_is_decoded_for_matching() -> None:
    request = request_of(f"body: {binary(gzip.compress(REPLY, mtime=0))}", "{content-encoding: [gzip]}")
    assert (request.body, request.headers) == (REPLY, ())

    damaged = gzip.compress(REPLY, mtime=0)[:-8] + b"\0" * 8
    request = request_of(f"body: {binary(damaged)}", "{content-encoding: [gzip]}")
    assert (request.body, request.headers) == (damaged, (("content-encoding", "gzip"),))


@pytest.mark.parametrize(
    ("noted", "at"),
    [
        ("2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01 10:00:00", "2026-03-01T10:00:00Z"),
        ("'2026-03-01T10:00:00Z'", "2026-03-01T10:00:00Z"),
        ("yesterday", None),
    ],
)
def test_the_instant_of_recording_is_kept_where_it_was_noted(noted, at) -> None:
    text = f"interactions:\n- recorded_at: {noted}\n  request: {{method: GET, uri: x}}\n"
    text += "  response: {status: 200, body: ''}\n"

    assert _vcr.looks_like(text.encode()) is False  # flow style: not what vcrpy writes
    assert read(text)[0].provenance.at == at


# --- damage -------------------------------------------------------------------------------------------

ASKED = "{method: GET, uri: 'https://a.example/', body: '', headers: {}}"
ANSWERED = "{status: {code: 200, message: OK}, headers: {}, body: {string: ok}}"
GOOD = f"- request: {ASKED}\n  response: {ANSWERED}\n"


@pytest.mark.parametrize(
    ("interaction", "line", "problem"),
    [
        (f"- response: {ANSWERED}", 4, "an interaction has no request"),
        (f"- request: {ASKED}", 4, "an interaction has no response"),
        (f"- request: {ASKED}\n  response: null", 4, "an interaction has no response"),
        (f"- request: {ASKED}\n  response: gone", 4, "the response is no mapping"),
        ("- gone", 4, "an interaction is no mapping with `request` and `response`"),
        (f"- request:\n    method: GET\n  response: {ANSWERED}", 5, "a request has no uri"),
        (f"- request: {{uri: x, headers: {{}}}}\n  response: {ANSWERED}", 4, "a request has no method"),
        (
            f"- request: {{uri: x, method: GET, headers: 7}}\n  response: {ANSWERED}",
            4,
            "headers are no mapping",
        ),
        (
            f"- request: {{uri: x, method: GET, headers: [7]}}\n  response: {ANSWERED}",
            4,
            "headers are no mapping",
        ),
        (f"- request: {ASKED}\n  response: {{body: ''}}", 5, "a response has no status code"),
        (
            f"- request: {ASKED}\n  response: {{body: '', status: {{code: null}}}}",
            5,
            "a response has no status code",
        ),
        (
            f"- request: {ASKED}\n  response: {{body: '', status: {{code: fine}}}}",
            5,
            "a response has the status 'fine'",
        ),
        (
            f"- request: {ASKED}\n  response: {{body: '', status: {{code: [2]}}}}",
            5,
            "a response has the status None",
        ),
        (f"- request: {ASKED}\n  response: {{status: {{code: 200}}}}", 5, "a response has no body"),
        (
            f"- request: {ASKED}\n  response: {{status: 200, body: {{base64_string: '!'}}}}",
            5,
            "a body is not the base64 it says it is",
        ),
    ],
)
def test_what_an_interaction_lacks_is_said_with_its_line(interaction, line, problem) -> None:
    error = broken(f"interactions:\n{GOOD}{interaction}\n{GOOD}version: 1\n")

    assert (error.line, len(error.good)) == (line, 2)
    assert f"line {line}: {problem}" in str(error)


def test_a_broken_cassette_says_what_is_wrong_and_how_to_mend_it() -> None:
    error = broken(f"interactions:\n{GOOD}- request: {ASKED}\n{GOOD}- response: {ANSWERED}\n")

    assert str(error) == dedent("""\
        cassettes/weather.yaml is a damaged vcrpy cassette.
          line 4: an interaction has no response
          line 7: an interaction has no request
          2 exchanges could be read

        To fix this:
          * Damaged by an edit or a merge? Restore it: git checkout -- cassettes/weather.yaml
          * Otherwise delete the exchange at line 4, and record it again""")


def test_many_problems_are_counted_rather_than_listed() -> None:
    error = broken("interactions:\n" + GOOD + "- gone\n" * 14)

    assert "line 13: " in str(error)
    assert "line 14: " not in str(error)
    assert "  and 4 more\n  1 exchange could be read" in str(error)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the file is empty"),
        ("\n \n", "line 1: the file is empty"),
        (
            "- request: {}\n",
            "line 1: the file is no mapping with `interactions`, as vcrpy 1.0 and later write",
        ),
        ("version: 1\n", "line 1: the file has no `interactions`"),
        ("version: 1\ninteractions: 7\n", "line 2: `interactions` is no list"),
        ('{"version": 1}', "line 1: the file has no `interactions` list"),
    ],
)
def test_a_file_that_is_no_cassette_says_what_it_lacks(text, problem) -> None:
    assert f"  {problem}\n" in str(broken(text))


LONG = """\
- request:
    body: 'It rains'
    headers: {}
    method: POST
    uri: https://a.example/
  response:
    body:
      string: |
        interactions:
          - request: not one, but text
    headers: {}
    status: {code: 200, message: OK}
"""


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (("body: 'It rains'", "body: 'It rains"), 16),
        (("    method: POST", "   method: POST"), 18),
        (("uri: https", "uri: [https"), 20),
        (("    status: {code", "<<<<<<< HEAD\n    status: {code"), 26),
        (("method: POST", "method: 'a' 'b'"), 18),
        (("body: 'It rains'", "body: \x1b"), 16),
        (("body: 'It rains'", "body: \udcff"), 16),
    ],
)
def test_damage_to_one_interaction_costs_no_other(harm, line) -> None:
    text = "version: 1\ninteractions:\n" + LONG + LONG.replace(*harm) + LONG + "metadata: {}\n"

    error = broken(text.encode("utf-8", "surrogateescape"))

    assert len(error.good) == 2
    assert all(exchange.request.body == b"It rains" for exchange in error.good)
    assert error.line == line


def test_interactions_that_are_indented_are_told_apart_too() -> None:
    text = "interactions:\n" + indent(LONG + LONG.replace("'It rains'", "'It rains") + LONG, "  ")

    assert len(broken(text + "version: 1\n").good) == 2


def test_damage_in_two_places_is_reported_twice() -> None:
    harmed = LONG.replace("method: POST", "method: 'a' 'b'")

    error = broken("interactions:\n" + harmed + LONG + harmed + "version: 1\n")

    assert len(error.good) == 1
    assert "line 5: not YAML: " in str(error)
    assert "line 29: not YAML: " in str(error)


def test_damage_outside_the_interactions_costs_none() -> None:
    error = broken("version: *one\ninteractions:\n" + LONG + LONG)

    assert (error.line, len(error.good)) == (1, 2)
    assert len(broken("version: [\n").good) == 0


def test_an_interaction_that_holds_itself_is_damage() -> None:
    error = broken(f"interactions:\n{GOOD}- &me\n  request: *me\n{GOOD}")

    assert len(error.good) == 2
    assert "line 4: an interaction is nested too deeply, or in itself" in str(error)


@pytest.mark.parametrize(
    ("cut", "problem"),
    [(1, "not JSON: the file ends within `interactions`"), (9, "not JSON: Expecting ',' delimiter")],
)
def test_a_json_cassette_that_was_cut_keeps_what_was_whole(cut, problem) -> None:
    interaction = {
        "request": {"method": "GET", "uri": URL},
        "response": {"status": {"code": 200}, "body": None},
    }
    whole = json.dumps({"interactions": [interaction] * 3}, indent=1)
    end = whole.rindex("]") if cut == 1 else whole.rindex("}", 0, whole.rindex("]") - 4)

    error = broken(whole[:end].encode())

    assert len(error.good) == (3 if cut == 1 else 2)
    assert problem in str(error)
    assert error.line is not None
    assert error.line > 20


def test_a_json_interaction_that_lacks_something_is_named_by_its_line() -> None:
    error = broken('{"interactions": [\n\n{"request": {}}, {"request": null}]}')

    assert error.line == 3
    assert str(error).count("line 3: ") == 2


def test_json_that_is_nested_without_end_is_damage() -> None:
    deep = "[" * 100_000 + "]" * 100_000

    assert "nested too deeply" in str(broken('{"interactions": [' + deep + "]}"))


def test_a_number_too_large_to_be_read_is_reported() -> None:
    request = f"{{method: GET, uri: x, parsed_body: {'9' * 5000}}}"
    text = f"interactions:\n- request: {request}\n  response: {ANSWERED}\n"

    assert "line 2: an interaction means nothing: Exceeds the limit" in str(broken(text))


# --- whose file is it? --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        LONG.join(["version: 1\ninteractions:\n", ""]),
        "interactions:\n" + indent(LONG, "  "),
        "# a comment\n---\ninteractions:\n# another\n\n" + LONG,
        "interactions:\n- recorded_at: now\n  request:\n    body: ''\n    uri: x\n",
        "interactions:\n- response:\n    body: ''\n  request:\n    method: GET\n",
        "interactions: []\n",
        "interactions:\nversion: 1\n",
        "- request: !!python/object:vcr.request.Request\n    body: null\n",
        '{"version": 1, "interactions": [{"request": {"uri": "x"}}]}',
        '{"interactions": []}',
    ],
)
def test_a_vcrpy_cassette_is_recognised(data) -> None:
    assert _vcr.looks_like(data.encode())


@pytest.mark.parametrize(
    "data",
    [
        "",
        "llmreplay: 1\n---\nrequest: {}\n",
        "http_interactions:\n- request:\n    method: post\n    uri: x\n",
        "version: 2\ninteractions:\n    - id: 0\n      request:\n        proto: HTTP/1.1\n        url: x\n",
        "version: 1\ninteractions:\n- request:\n    body: ''\n    url: x\n  response:\n    uri: y\n",
        "version: 1\ninteractions:\n- kind: message\n  data:\n    type: session.created\n",
        "version: 1\ninteractions:\n- request_sample:\n    json: {}\n",
        "interactions: 7\n",
        '{"interactions": [{"description": "a pact", "request": {"path": "/"}}]}',
        '{"log": {"entries": []}}',
        "\x1f\x8b",
    ],
)
def test_the_files_of_others_are_not_taken_for_vcrpy_s(data) -> None:
    assert not _vcr.looks_like(data.encode("latin-1"))


@pytest.mark.parametrize(
    "data", [b"interactions:\n" + b"\n" * 100_000 + b"x", b'{"interactions": [' * 10_000]
)
def test_a_glance_is_a_glance_whatever_it_falls_on(data) -> None:
    begin = perf_counter()

    assert not _vcr.looks_like(data)
    assert perf_counter() - begin < 1


# --- writing ------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LATIN = st.text(st.characters(max_codepoint=255), max_size=12)
BODY = st.one_of(
    st.binary(max_size=40),
    TEXT.map(str.encode),
    st.lists(
        st.sampled_from(["data: one", "", " two ", "\t", "\r", "雨", "\x85", "\u2028", "---", "- x: y", "#"])
    ).map(lambda lines: "\n".join(lines).encode()),
)
DELAY = st.floats(0, 1e4, allow_nan=False)
HEADERS = st.dictionaries(LATIN, st.lists(LATIN, min_size=1, max_size=2), max_size=3).map(
    lambda form: tuple((name, value) for name, values in form.items() for value in values)
)
FAILURE = st.builds(
    Failure,
    st.sampled_from(["ReadError", "ReadTimeout"]),
    TEXT,
    st.sampled_from(["connect", "headers", "body"]),
    DELAY,
)
REQUEST = st.builds(Request, st.sampled_from(["GET", "POST"]), TEXT.filter(bool), HEADERS, BODY)
ENDING = st.one_of(
    st.just(("complete", None)),
    st.tuples(st.just("cut"), FAILURE),
    st.tuples(st.just("closed"), st.none() | FAILURE),
)


@st.composite
def exchanges(draw) -> Exchange:
    provenance = Provenance(
        "imported",
        draw(st.none() | TEXT),
        draw(st.none() | TEXT),
        draw(st.none() | TEXT),
        None,
        draw(st.booleans()),
    )
    request = draw(REQUEST)
    if draw(st.integers(0, 4)) == 0:
        return Exchange(request, failure=draw(FAILURE), provenance=provenance)
    ended, failure = draw(ENDING)
    response = Response(
        draw(st.sampled_from([200, 204, 422, 529])),
        draw(HEADERS)
        + draw(st.sampled_from([(), (("content-length", "7"),), (("content-encoding", "gzip"),)])),
        tuple(draw(st.lists(st.builds(Chunk, BODY, DELAY), max_size=4))),
        ended,
        failure,
        draw(DELAY),
        draw(st.sampled_from(["HTTP/1.1", "HTTP/2"])),
        draw(st.none() | st.sampled_from(["OK", "", "Fine", "Ærlig"]) | TEXT),
        draw(st.sampled_from([None, "gzip"])),
    )
    return Exchange(request, response, provenance=provenance)


@given(st.lists(exchanges(), max_size=3))
def test_what_is_written_is_read_back_as_it_was(written) -> None:
    data = _vcr.write(written)

    assert data.isascii()
    assert _vcr.read(data, PATH) == written


EXCHANGE = Exchange(
    Request("POST", URL, (("content-type", "application/json"),), b'{"model":"small"}'),
    Response(
        200,
        (("content-type", "text/event-stream"),),
        (Chunk(b"data: one\n\nda", 0.0125), Chunk(b"ta: two\n\n", 0.3)),
        ended="cut",
        failure=Failure("ReadError", "reset by peer", "body", 1.5),
        delay=0.25,
    ),
    provenance=Provenance("imported", at="2026-03-01T10:00:00Z"),
)


def test_a_cassette_is_written_to_be_read_by_people_too() -> None:
    assert _vcr.write([EXCHANGE]).decode() == dedent("""\
        version: 1
        interactions:
        - request:
            method: POST
            uri: https://api.example.com/v1/chat
            headers:
              content-type:
              - application/json
            body: '{"model":"small"}'
          response:
            status:
              code: 200
              message: OK
            headers:
              content-type:
              - text/event-stream
            body:
              string: |+
                data: one

                data: two

            x-llmreplay:
              chunks: 13+12.5 9+300
              delay: '250'
              ended: cut
              failure:
                error: ReadError
                message: reset by peer
                phase: body
                delay: '1500'
              at: '2026-03-01T10:00:00Z'
        ...
        """)


def test_a_body_edited_by_hand_is_one_chunk_and_its_length_is_put_right() -> None:
    response = Response.of(200, [b"It ", b"rains."], (("content-length", "9"),))
    written = _vcr.write([Exchange(EXCHANGE.request, response)]).decode()

    [edited] = read(written.replace("It rains.", "It snows a lot."))

    assert edited.response == Response.of(200, b"It snows a lot.", (("content-length", "15"),))
    assert not edited.provenance.boundaries


@pytest.mark.parametrize(
    ("was", "edited", "problem"),
    [
        ("13+12.5", "13+soon", "x-llmreplay has a delay 'soon'; expected milliseconds"),
        ("13+12.5", "a+1", "x-llmreplay has a chunk 'a+1'; expected its size and delay, such as 13+0.5"),
        ("ended: cut", "ended: gone", "x-llmreplay has ended: gone; expected one of complete, cut, closed"),
        (
            "phase: body",
            "phase: x",
            "x-llmreplay has phase: x; expected one of connect, tls, send, headers, body",
        ),
        ("error: ReadError", "error: ''", "x-llmreplay has a failure without the name of its error"),
        (
            "ended: cut",
            "ended: complete",
            "an interaction means nothing: a response that is complete has no failure",
        ),
    ],
)
def test_an_edit_that_means_nothing_is_reported(was, edited, problem) -> None:
    assert problem in str(broken(_vcr.write([EXCHANGE]).decode().replace(was, edited)))


# --- stock vcrpy --------------------------------------------------------------------------------------

UNICODE = 'data: {"text": "Regn i Ålesund 🌧"}\r\n\r\ndata: [DONE]\n\n'.encode()
FAILED = Exchange(Request("GET", URL), failure=Failure("ConnectError", "refused: ÷", "connect", 0.5))
PLAYED = [
    Exchange(Request("POST", URL, (("content-type", "text/plain"),), b"caf\xe9"), Response.of(200, REPLY)),
    Exchange(
        Request("POST", URL, (), "雨".encode()),
        Response.of(200, [UNICODE[:30], UNICODE[30:]], (("set-cookie", "a=1"), ("set-cookie", "b=2"))),
    ),
    Exchange(Request("GET", URL), Response.of(529, b"\x00\xff\xfe", (("content-length", "3"),))),
    EXCHANGE,
    Exchange(Request("GET", URL), Response(200, (), (Chunk(b"ok"),), reason="Ærlig", http_version="HTTP/2")),
    Exchange(Request("DELETE", URL), Response(204)),
    FAILED,
]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_stock_vcrpy_plays_what_was_written(library, tmp_path) -> None:
    path = tmp_path / "written.yaml"
    path.write_bytes(_vcr.write(PLAYED))

    with (
        vcr.use_cassette(str(path), record_mode="none", match_on=("method", "uri", "body")) as cassette,
        library.Client() as client,
    ):
        for exchange in PLAYED:
            asked, recorded = exchange.request, exchange.response
            played = client.request(asked.method, asked.url, headers=list(asked.headers), content=asked.body)
            if recorded is None:
                assert played.status_code == 599
                assert played.text == "llmreplay: recorded ConnectError (connect): refused: ÷"
            else:
                assert (played.status_code, played.content) == (recorded.status, recorded.body)
                assert [(name, value) for name, value in played.headers.multi_items()] == list(
                    recorded.headers
                )
        assert cassette.all_played


def test_what_stock_vcrpy_saves_again_is_still_whole(tmp_path) -> None:
    path = tmp_path / "written.yaml"
    path.write_bytes(_vcr.write(PLAYED))
    with vcr.use_cassette(str(path), record_mode="new_episodes") as cassette:
        cassette.dirty = True

    saved = _vcr.read(path.read_bytes(), path)

    assert [(each.response, each.failure) for each in saved] == [
        (each.response, each.failure) for each in PLAYED
    ]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize(
    "stored",
    [
        f"headers: {{content-encoding: [gzip], content-length: ['7']}}\nbody: {{string: '{REPLY.decode()}'}}",
        f"headers: {{content-encoding: [br]}}\nbody: {{string: {binary(brotli.compress(REPLY))}}}",
        f"headers: {{content-encoding: [br], content-length: ['0']}}\nparsed_body: {REPLY.decode()}",
    ],
)
def test_no_client_stumbles_over_headers_that_went_stale(library, stored) -> None:
    response = response_of(stored)

    played = library.Response(response.status, headers=list(response.headers), content=response.body)

    assert played.content == REPLY
