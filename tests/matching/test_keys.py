"""What two requests must share to be the same question."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmreplay import Request
from llmreplay.errors import OptionError
from llmreplay.matching import exact_key, key, loose_key, parse_ignore

URL = "https://api.openai.com/v1/chat/completions"
JSON_TYPE = (("content-type", "application/json"),)


def post(body: object, url: str = URL, headers=JSON_TYPE) -> Request:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", url, headers, data)


def same(one: Request, other: Request, *ignore: str) -> bool:
    rules = parse_ignore(ignore)
    assert key(one, rules) == (exact_key(one, rules), loose_key(one, rules))
    return exact_key(one, rules) == exact_key(other, rules)


def alike(one: Request, other: Request) -> bool:
    return loose_key(one) == loose_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1,"b":2}', b'{ "b": 2, "a": 1 }'),
        (b'{"t":0.7}', b'{"t":0.699999988}'),
        (b'{"t":1}', b'{"t":1.0}'),
        (b'{"t":100}', b'{"t":1e2}'),
        (b'{"t":"\\u00e9"}', '{"t":"é"}'.encode()),
        (b'{"key":"[redacted-1]"}', b'{"key":"[redacted-7]"}'),
    ],
)
def test_spelling_does_not_count(one, other):
    assert same(post(one), post(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":2}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":true}', b'{"a":1}'),
        (b'{"a":null}', b"{}"),
        (b"[1,2]", b"[2,1]"),
        (b'{"t":0.7}', b'{"t":0.71}'),
        (b'{"seed":123456789}', b'{"seed":123456790}'),
        (b'{"at":1700000000.25}', b'{"at":1700000000.5}'),
        (b"plain", b"text"),
        (b"", b"{}"),
        (b"\xff\x00", b"\xff\x01"),
    ],
)
def test_meaning_counts(one, other):
    assert not same(post(one), post(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://host/a", "https://HOST/a"),
        ("https://host/a", "https://host:443/a"),
        ("https://host/a?x=1&y=2", "https://host/a?y=2&x=1"),
        ("https://host/model/a:0/invoke", "https://host/model/a%3A0/invoke"),
        ("https://host/a?key=[redacted-1]", "https://host/a?key=%5Bredacted-3%5D"),
    ],
)
def test_the_spelling_of_an_address_does_not_count(one, other):
    assert same(Request("GET", one), Request("get", other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://host/a", "http://host/a"),
        ("https://host/a", "https://host/b"),
        ("https://host/a", "https://other/a"),
        ("https://host/a", "https://host:8443/a"),
        ("https://host/a?x=1", "https://host/a?x=2"),
        ("https://host/a?x=", "https://host/a"),
        ("https://host/a?x=1&x=2", "https://host/a?x=1"),
    ],
)
def test_the_address_counts(one, other):
    assert not same(Request("GET", one), Request("GET", other))


def test_the_method_counts():
    assert not same(Request("GET", URL), Request("POST", URL))


def test_headers_do_not_count():
    assert same(post({}), post({}, headers=(*JSON_TYPE, ("x-stainless-retry-count", "1"))))


def test_the_boundary_of_a_multipart_body_does_not_count():
    def upload(boundary: str, content: str) -> Request:
        part = f'Content-Disposition: form-data; name="file"\r\n\r\n{content}\r\n'
        body = f"--{boundary}\r\n{part}--{boundary}--\r\n"
        return post(body.encode(), headers=(("Content-Type", f'multipart/form-data; boundary="{boundary}"'),))

    assert same(upload("aB12", "x"), upload("Cd34", "x"))
    assert not same(upload("aB12", "x"), upload("aB12", "y"))


def test_the_order_of_a_form_does_not_count():
    form = (("content-type", "application/x-www-form-urlencoded"),)

    assert same(post(b"a=1&b=2", headers=form), post(b"b=2&a=1", headers=form))
    assert not same(post(b"a=1", headers=form), post(b"a=2", headers=form))


def conversation(*ids: str) -> Request:
    return post({"messages": [{"tool_call_id": spelled} for spelled in ids]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("call_a1B2c3D4e5", "call_z9Y8x7W6v5"),
        ("toolu_01A09q90qw90lq917835lq9", "toolu_01B09q90qw90lq917835lq9"),
        ("3f2b8c1e-0000-4000-8000-000000000001", "3f2b8c1e-0000-4000-8000-000000000002"),
        ("pyd_ai_3f2b8c1e00004000", "pyd_ai_4f2b8c1e00004000"),
        ("chatcmpl-123abcdefg", "chatcmpl-456abcdefg"),
        (
            "agents-sdk:run:8e294a02b8ba43ffa3dae8a7395536cb",
            "agents-sdk:run:ef68200ccfee432098177a271cb3c859",
        ),
    ],
)
def test_generated_ids_count_only_as_equal_or_different(one, other):
    assert not same(conversation(one), conversation(other))
    assert alike(conversation(one, one), conversation(other, other))
    assert alike(conversation(one, other), conversation(other, one))
    assert not alike(conversation(one, one), conversation(one, other))


@pytest.mark.parametrize(
    "word", ["call_center_is_open", "message", "call_me", "file-system-layout", "request-response"]
)
def test_words_that_only_look_like_ids_count(word):
    assert not alike(conversation(word), conversation(word + "s"))


def test_digests_are_no_ids():
    assert not alike(
        conversation("5d41402abc4b2a76b9719d911017c592"), conversation("7d793037a0760186574b0282f2f435e7")
    )


BODY = {
    "messages": [{"role": "user", "content": "hi", "at": 1}, {"role": "user", "content": "ho", "at": 2}],
    "metadata": {"user": "u1", "odd.name": 1},
}


def changed(path: str) -> dict:
    body = json.loads(json.dumps(BODY))
    first, second = body["messages"]
    match path:
        case "contents":
            first["content"], second["content"] = "x", "y"
        case "second":
            second["content"] = "y"
        case "times":
            first["at"], second["at"] = 7, 8
        case "metadata":
            body["metadata"] = {"other": 1}
        case "user":
            body["metadata"]["user"] = "u2"
        case "odd":
            body["metadata"]["odd.name"] = 2
        case "second message":
            body["messages"][1] = {"role": "tool"}
    return body


@pytest.mark.parametrize(
    ("ignore", "change"),
    [
        ("messages[*].content", "contents"),
        ("messages.*.content", "contents"),
        ("messages[1].content", "second"),
        ("messages[-1].content", "second"),
        ("body.messages[1].content", "second"),
        ("messages[1]", "second message"),
        ("**.at", "times"),
        ("metadata", "metadata"),
        ("metadata.*", "metadata"),
        ("metadata.user", "user"),
        ('metadata["odd.name"]', "odd"),
        ("body", "contents"),
        ("**", "contents"),
    ],
)
def test_a_path_that_is_ignored_does_not_count(ignore, change):
    assert same(post(BODY), post(changed(change)), ignore)
    assert not same(post(BODY), post(changed(change)))


@pytest.mark.parametrize(
    "ignore", ["messages[0].content", "messages[5]", "nothing.here", "messages.content", "metadata[0]"]
)
def test_what_is_not_on_the_path_still_counts(ignore):
    assert not same(post(BODY), post(changed("second")), ignore)


@pytest.mark.parametrize(
    ("ignore", "other"),
    [
        ("url.host", "https://other.example/v1/chat/completions?v=1"),
        ("url.scheme", "http://api.openai.com:443/v1/chat/completions?v=1"),
        ("url.port", "https://api.openai.com:8443/v1/chat/completions?v=1"),
        ("url.path", "https://api.openai.com/v2/chat?v=1"),
        ("url.query", "https://api.openai.com/v1/chat/completions?w=2"),
        ("url.query.v", "https://api.openai.com/v1/chat/completions?v=2"),
        ("url", "http://localhost:1234/"),
    ],
)
def test_a_part_of_the_address_can_be_ignored(ignore, other):
    assert same(post({}, f"{URL}?v=1"), post({}, other), ignore)
    assert not same(post({}, f"{URL}?v=1"), post({}, other))


def test_the_method_can_be_ignored():
    assert same(Request("GET", URL), Request("POST", URL), "method")


@pytest.mark.parametrize(
    "path", ["", "messages[", "messages[x]", "a..b", "url.colour", "url.host.name", "body.", ".", "a[1"]
)
def test_a_path_that_means_nothing_is_an_error(path):
    with pytest.raises(OptionError, match="ignore is"):
        parse_ignore([path])


def test_one_path_need_not_be_a_list():
    assert parse_ignore("metadata") == parse_ignore(["metadata"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1]), st.booleans())
def test_however_json_is_spelled_it_is_the_same_question(value, indent, ascii_only):
    shuffled = dict(reversed(list(value.items())))

    assert same(
        post(value),
        post(json.dumps(shuffled, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")),
    )


@given(st.binary(max_size=60), st.sampled_from([(), JSON_TYPE, (("content-type", "multipart/form-data"),)]))
def test_any_body_has_a_key(body, headers):
    assert len(key(Request("POST", URL, headers, body)).exact) == 16
