from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import struct
import sys
import threading
import zlib
from itertools import accumulate, pairwise
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import MIXED, SHAPED

from llmreplay.errors import OptionError
from llmreplay.exchange import Chunk, Exchange, Request, Response
from llmreplay.redaction import PLACEHOLDERS, Redaction

SECRET = SHAPED["openai project"]


def rules(**options) -> Redaction:
    return Redaction(**{"environ": {}, **options})


def request_with(*headers: tuple[str, str], body: bytes = b"", url: str = "https://h/") -> Request:
    return Request("POST", url, headers, body)


def exchange_with(*chunks: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Exchange:
    return Exchange(request_with(), Response.of(200, chunks, headers))


KEPT_OF_A_REQUEST = (
    ("Content-Type", "application/json"),
    ("accept", "*/*"),
    ("Accept", "text/event-stream"),
    ("User-Agent", "OpenAI/Python 3"),
    ("anthropic-version", "2023-06-01"),
    ("anthropic-beta", "a"),
    ("OpenAI-Beta", "assistants=v2"),
    ("X-Stainless-Retry-Count", "0"),
    ("x-goog-api-client", "gl-python/3.11"),
)
DROPPED_OF_A_REQUEST = (
    ("Authorization", "Bearer x"),
    ("x-api-key", "x"),
    ("api-key", "x"),
    ("x-goog-api-key", "x"),
    ("X-Amz-Security-Token", "x"),
    ("Cookie", "a=b"),
    ("OpenAI-Organization", "org-1"),
    ("OpenAI-Project", "proj_1"),
    ("host", "h"),
    ("idempotency-key", "stainless-python-retry-1"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-stainless-api-key", "x"),
)
KEPT_OF_A_RESPONSE = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("Content-Encoding", "gzip"),
    ("transfer-encoding", "chunked"),
    ("retry-after", "2"),
    ("retry-after-ms", "20"),
    ("x-should-retry", "true"),
    ("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
    ("x-request-id", "req_011CSHoEeqs5C35K2UUqR7Fy"),
    ("request-id", "req_2"),
    ("x-amzn-RequestId", "0f2c1a62-8a4e-4ab0-a9a8-1f27e37c8a1d"),
    ("x-amzn-ErrorType", "ThrottlingException"),
    ("x-ratelimit-remaining-tokens", "149"),
    ("anthropic-ratelimit-input-tokens-remaining", "4"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("x-groq-region", "us"),
    ("Server", "cloudflare"),
    ("vary", "a"),
    ("Vary", "b"),
    ("etag", '"x"'),
)
DROPPED_OF_A_RESPONSE = (
    ("Set-Cookie", "__cf_bm=1"),
    ("openai-organization", "user-1"),
    ("openai-project", "proj_1"),
    ("anthropic-organization-id", "1"),
    ("cf-ray", "1-AMS"),
    ("x-custom", "1"),
    ("authorization", "x"),
)


def test_headers_are_kept_by_allow_list_in_their_order_and_case():
    request = request_with(*DROPPED_OF_A_REQUEST[:5], *KEPT_OF_A_REQUEST, *DROPPED_OF_A_REQUEST[5:])
    response = Response(200, (*DROPPED_OF_A_RESPONSE, *KEPT_OF_A_RESPONSE))

    stored = rules().exchange(Exchange(request, response))

    assert stored.request.headers == KEPT_OF_A_REQUEST
    assert stored.response.headers == KEPT_OF_A_RESPONSE


def test_the_user_keeps_more_headers_but_never_credentials():
    wanted = ("X-Custom", "cookie", "Set-Cookie", "AUTHORIZATION", "x-api-key", "x-my-token", "client-secret")
    redaction = rules(keep_headers=wanted)
    headers = tuple((name, "value") for name in wanted)

    stored = redaction.exchange(Exchange(request_with(*headers), Response(200, headers)))

    assert stored.request.headers == (("X-Custom", "value"),)
    assert stored.response.headers == (("X-Custom", "value"),)


def test_values_of_kept_headers_go_through_the_rules():
    location = f"https://user:pw@h/next?key=abc&x=1&note={SECRET}"
    response = Response(302, (("Location", location), ("x-error-message", f"bad key {SECRET} ☃ sorry")))

    stored = rules().exchange(Exchange(request_with(("user-agent", f"a {SECRET}")), response))

    assert stored.request.headers == (("user-agent", "a [redacted-1]"),)
    assert stored.response.headers == (
        ("Location", "https://h/next?key=[redacted-2]&x=1&note=[redacted-1]"),
        ("x-error-message", "bad key [redacted-1] ☃ sorry"),
    )


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://api.x.com/v1/chat", "https://api.x.com/v1/chat"),
        ("https://api.x.com/v1?next_page_token=abc&pageToken=d", "https://api.x.com/v1?next_page_token=abc&pageToken=d"),
        ("https://user:pass@api.x.com:8443/v1", "https://api.x.com:8443/v1"),
        ("http://user@[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("https://x.com/v1beta/models/g:stream?alt=sse&key=abc", "https://x.com/v1beta/models/g:stream?alt=sse&key=[redacted-1]"),
        ("https://x.com/?api_key=a&API-KEY=b#f", "https://x.com/?api_key=[redacted-1]&API-KEY=[redacted-2]#f"),
        ("https://x.com/?subscription-key=a%20b&code=c", "https://x.com/?subscription-key=[redacted-1]&code=c"),
        ("https://x.com/?password=&token=t", "https://x.com/?password=&token=[redacted-1]"),
        ("https://x.com/?sig=%5Bredacted-4%5D", "https://x.com/?sig=[redacted-4]"),
        (f"https://{SHAPED['groq']}.x.com/p", "https://%5Bredacted-1%5D.x.com/p"),
        ("/relative?key=abc", "/relative?key=[redacted-1]"),
        ("https://x.com/ü?key=é☃", "https://x.com/ü?key=[redacted-1]"),
    ],
)  # fmt: skip
def test_urls_lose_their_secrets_and_can_still_be_split(url, stored):
    redaction = rules()

    assert redaction.request(request_with(url=url)).url == stored
    assert redaction.request(request_with(url=stored)).url == stored
    assert urlsplit(stored).scheme == urlsplit(url).scheme


def test_the_content_length_stays_right_if_it_was():
    body = json.dumps({"content": SECRET}).encode()
    right, wrong = (("Content-Length", str(len(body))),), (("content-length", "5"),)
    redaction = rules()

    stored = redaction.exchange(Exchange(request_with(*right, body=body), Response.of(200, body, right)))
    other = redaction.exchange(exchange_with(body, headers=wrong))

    assert stored.request.headers == (("Content-Length", str(len(stored.request.body))),)
    assert stored.response.headers == (("Content-Length", str(len(stored.response.body))),)
    assert len(stored.request.body) < len(body)
    assert other.response.headers == wrong


def test_a_compressed_request_is_stored_decoded():
    body = json.dumps({"content": SECRET}).encode()
    packed = gzip.compress(body, mtime=0)
    headers = (("content-encoding", "gzip"), ("content-length", str(len(packed))), ("accept", "a"))

    stored = rules().request(request_with(*headers, body=packed))

    assert stored.json == {"content": "[redacted-1]"}
    assert stored.headers == (("content-length", str(len(stored.body))), ("accept", "a"))


@pytest.mark.parametrize("body", [b"not compressed at all", b""])
def test_a_request_under_a_stale_content_encoding_is_left_alone(body):
    request = request_with(("content-encoding", "gzip"), body=body)

    assert rules().request(request) == request


def test_a_form_with_secret_names_loses_their_values_whatever_they_are():
    kind = ("content-type", "application/x-www-form-urlencoded")
    body = b"grant_type=client_credentials&client_secret=abc&token=x&password=&scope=a+b"

    stored = rules().request(request_with(kind, body=body))

    assert (
        stored.body
        == b"grant_type=client_credentials&client_secret=[redacted-1]&token=[redacted-2]&password=&scope=a+b"
    )
    assert rules(first=9).request(stored) == stored


def test_a_json_body_under_the_name_of_a_form_is_no_form():
    body = json.dumps({"x": "a=1&token=b"}).encode()

    stored = rules().request(request_with(("content-type", "application/x-www-form-urlencoded"), body=body))

    assert stored.body == body


def test_untouched_bytes_stay_whatever_they_are():
    body = b"\xff\xfe\r\n\x00 key: " + SECRET.encode() + b"\r\n\x80\x81 \xc3\x28 end\r\n"

    stored = rules().exchange(exchange_with(body[:5], b"", body[5:]))

    assert stored.response.body == body.replace(SECRET.encode(), b"[redacted-1]")
    assert [chunk.data for chunk in stored.response.chunks][:2] == [body[:5], b""]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_streams_with_other_line_ends_and_other_fields_are_read(end):
    pieces = (SECRET[:9], SECRET[9:20], SECRET[20:])
    lines = [
        ": ping",
        "event: delta",
        *(
            f'data:{{"delta": {{"text": "{piece}"}}, "n": {number}}}{end}'
            for number, piece in enumerate(pieces)
        ),
        "data: [DONE]",
        "",
    ]
    body = end.join(lines).encode()

    stored = rules().exchange(exchange_with(body))

    expected = body.replace(pieces[0].encode(), b"[redacted-1]")
    for piece in pieces[1:]:
        expected = expected.replace(b'"' + piece.encode() + b'"', b'""')
    assert stored.response.body == expected


def test_texts_of_a_stream_that_are_apart_are_not_joined():
    def delta(index, text):
        return (
            b"data: "
            + json.dumps({"choices": [{"index": index, "delta": {"content": text}}]}).encode()
            + b"\n\n"
        )

    body = delta(0, SECRET[:12]) + delta(1, "one ") + delta(0, SECRET[12:]) + delta(1, "two")

    stored = rules().exchange(exchange_with(body))

    assert stored.response.body == delta(0, "[redacted-1]") + delta(1, "one ") + delta(0, "") + delta(
        1, "two"
    )


def test_a_stream_that_is_one_json_array_is_read():
    def part(text):
        return {"candidates": [{"content": {"parts": [{"text": text}]}}]}

    body = json.dumps([part("key " + SECRET[:10]), part(SECRET[10:40]), part(SECRET[40:])], indent=2).encode()

    stored = rules().exchange(exchange_with(body))

    texts = [item["candidates"][0]["content"]["parts"][0]["text"] for item in stored.response.json]
    assert texts == ["key [redacted-1]", "", ""]


def test_a_stream_of_json_lines_is_read():
    lines = [{"message": {"content": text}} for text in (SECRET[:10], SECRET[10:40], SECRET[40:])]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()

    stored = rules().exchange(exchange_with(body))

    texts = [json.loads(line)["message"]["content"] for line in stored.response.body.splitlines()]
    assert texts == ["[redacted-1]", "", ""]


@pytest.mark.parametrize("streamed", [True, False])
def test_the_tokens_of_logprobs_are_read_as_one_text(streamed):
    tokens = [SECRET[at : at + 6] for at in range(0, len(SECRET), 6)]
    logprobs = [[{"token": token, "logprob": -0.1, "top_logprobs": []} for token in tokens]]
    if streamed:
        logprobs = [[entry] for entry in logprobs[0]]
    payloads = [{"choices": [{"index": 0, "logprobs": {"content": entries}}]} for entries in logprobs]
    body = b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)

    stored = rules().exchange(exchange_with(body if streamed else json.dumps(payloads[0]).encode()))

    text = stored.response.body.decode()
    assert text.count("[redacted-1]") == 1
    assert not [token for token in tokens[1:] if f'"token": "{token}"' in text]


@pytest.mark.parametrize(
    "line",
    [
        b'data: {"text": "a", "text": "b"}',
        b"data: {not json}",
        b"data: " + b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'data: {"text": 1, "content": ["x", null, {"text": "y"}], "index": "z"}',
    ],
)
def test_events_that_cannot_be_read_are_left_alone(line):
    body = line + b"\n\n" + line + b"\n\n"

    assert rules().exchange(exchange_with(body)).response.body == body


def frame(payload: bytes, headers: bytes = b"\x0b:event-type\x07\x00\x05chunk") -> bytes:
    lengths = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    head = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))


def deltas(*texts: str) -> list[bytes]:
    return [json.dumps({"contentBlockIndex": 0, "delta": {"text": text}}).encode() for text in texts]


def test_frames_of_an_aws_event_stream_are_made_right_again():
    body = b"".join(frame(payload) for payload in deltas("key ", SECRET[:12], SECRET[12:], " ok"))
    first = len(frame(deltas("key ")[0]))
    cuts = [0, 5, first, first + 40, first + 60, len(body) - 3, len(body)]

    stored = rules().exchange(exchange_with(*(body[a:b] for a, b in pairwise(cuts))))

    expected = [frame(payload) for payload in deltas("key ", "[redacted-1]", "", " ok")]
    assert stored.response.body == b"".join(expected)
    assert len(stored.response.chunks) == 6
    assert stored.response.chunks[0].data == body[:5]
    assert stored.response.chunks[2].data == expected[1][:40]
    assert stored.response.chunks[-1].data == body[-3:]
    assert rules().exchange(stored) == stored


def test_an_aws_event_stream_that_breaks_off_is_read_as_far_as_it_goes():
    whole, rest = frame(deltas(SECRET)[0]), frame(deltas("x")[0])[:20]

    stored = rules().exchange(exchange_with(whole + rest))

    assert stored.response.body == frame(deltas("[redacted-1]")[0]) + rest


def test_what_only_begins_like_an_aws_event_stream_is_searched_as_it_is():
    body = frame(b"{}") + b"\x00" * 8 + f"no frame: {SECRET}".encode()

    assert rules().exchange(exchange_with(body)).response.body == body.replace(
        SECRET.encode(), b"[redacted-1]"
    )


def test_base64_keeps_its_spelling():
    plain = b"?>?>?> secret " + SECRET.encode() + b" ?"
    padded, bare = base64.b64encode(plain), base64.urlsafe_b64encode(plain).rstrip(b"=")
    redacted = plain.replace(SECRET.encode(), b"[redacted-1]")

    stored = rules().request(request_with(body=b"[" + padded + b"] [" + bare + b"]")).body

    expected = base64.b64encode(redacted), base64.urlsafe_b64encode(redacted).rstrip(b"=")
    assert stored == b"[" + expected[0] + b"] [" + expected[1] + b"]"


def test_text_after_wrapped_base64_stays():
    text = base64.encodebytes(f"a file with {SECRET} in it".encode() * 2)
    body = b"--b\r\n\r\n" + text.replace(b"\n", b"\r\n") + b"\r\n--b--\r\nnext: line\r\n"

    stored = rules().request(request_with(body=body)).body

    assert stored.startswith(b"--b\r\n\r\n")
    assert stored.endswith(b"\r\n--b--\r\nnext: line\r\n")
    middle = stored[7 : -len(b"\r\n--b--\r\nnext: line\r\n")]
    assert base64.b64decode(middle) == b"a file with [redacted-1] in it" * 2


def test_a_pattern_whose_group_took_no_part_hides_nothing():
    assert rules(patterns=[r"(x)?y"]).request(request_with(body=b"y xy")).body == b"y [redacted-1]y"


def test_a_value_that_breaks_off_with_the_json_around_it_ends_there():
    body = json.dumps({"arguments": '{"password": "correct'})

    stored = rules().request(request_with(body=body.encode()))

    assert stored.json == {"arguments": '{"password": "[redacted-1]'}


def test_overlapping_secrets_become_one():
    redaction = rules(environ={"A_KEY": "abcdefgh-1", "B_KEY": "fgh-1-xyz0"})

    assert redaction.request(request_with(body=b"<abcdefgh-1-xyz0>")).body == b"<[redacted-1]>"


def test_an_environment_value_may_read_like_a_placeholder():
    redaction = rules(environ={"ODD_KEY": "redacted"}, patterns=[r"\bredacted\b"])

    stored = redaction.request(request_with(body=b"redacted"))

    assert stored.body == b"[redacted-1]"
    assert redaction.request(stored) == stored


@pytest.mark.parametrize("pattern", ["(", b"bytes", 7])
def test_a_pattern_must_be_a_regular_expression_or_a_function(pattern):
    with pytest.raises(OptionError, match="patterns is"):
        rules(patterns=[pattern])


def test_a_compiled_pattern_for_bytes_is_refused():
    import re

    with pytest.raises(OptionError, match="not for bytes"):
        rules(patterns=[re.compile(b"x")])


def test_a_function_must_return_text():
    redaction = rules(patterns=[lambda _text: None])

    with pytest.raises(OptionError, match="returns text"):
        redaction.request(request_with(body=b"x"))


def test_numbers_are_the_same_from_many_threads():
    redaction = rules()
    secrets = ["sk-" + f"{number:02}" + MIXED[:40] for number in range(20)]
    seen: list[list[bytes]] = []

    def work(order: list[str]) -> None:
        seen.append([redaction.request(request_with(body=secret.encode())).body for secret in order])

    threads = [threading.Thread(target=work, args=(secrets,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 8
    assert all(bodies == seen[0] for bodies in seen)
    assert len(set(seen[0])) == 20


def test_memory_of_harmless_texts_is_bounded():
    redaction = rules()

    for number in range(9000):
        redaction.request(request_with(url=f"https://example.com/{number:032}", body=b"x %032d" % number))

    assert len(redaction._harmless) <= 4096
    assert max(len(runs) for runs in redaction._search._harmless) <= 8192


MEGABYTE = 1_000_000
HOSTILE = {
    "letters": "a",
    "key prefixes": "sk-",
    "more prefixes": "sk-ant-",
    "token headers": "eyJ-",
    "token parts": "eyJabcdefghij.",
    "keys begin": "-----BEGIN",
    "private keys begin": "-----BEGIN PRIVATE KEY-----",
    "private keys with a word": "-----BEGIN PRIVATE KEY-----\nProc-Type: 4,",
    "passwords": '"password":"',
    "passwords in nested json": '\\"password\\":\\"',
    "passwords at two depths": '\\"password\\":\\"<\\\\\\"password\\\\\\":\\\\\\"<',
    "password assignments": "password=",
    "password entries": "password:",
    "passwords encoded": "password%3D",
    "passwords and spaces": "password    ",
    "backslashes": "\\",
    "quotes": '"',
    "urls": "http://",
    "urls with colons": "://a:",
    "parameters": "?key=",
    "bearers": "Bearer ",
    "percents": "%2",
    "escapes": "\\u0041",
    "spaces": " ",
    "line ends": "\n",
    "events": "data: {\n",
    "braces": "{",
    "wrapped": "a" * 76 + "\n",
    "multipart": '"password"\r\n\r\n',
    "multipart headers": '"password"\r\na:b',
    "yaml lists": "password:\n- ",
    "brackets": "[redacted-",
    "signatures": "Signature=",
    "mixed case": "aB",
}


def calls_made(action) -> int:
    """How many functions run while it works, in Python or in C."""
    count = 0

    def on_event(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_the_work_grows_with_the_size_of_hostile_input_and_not_faster(unit):
    redaction = rules(environ={"ANY_KEY": "aaaaaaaab", "OTHER_KEY": "sk-sk-sk-"})

    def work(size):
        body = (unit * (size // len(unit) + 1))[:size].encode()
        return lambda: rules().exchange(Exchange(request_with(body=body), Response.of(200, body)))

    small, large = calls_made(work(20_000)), calls_made(work(80_000))
    assert large <= 4.4 * small + 400

    # a pattern that tries again would show here by not coming to an end
    body = (unit * (MEGABYTE // len(unit))).encode()
    redaction.find(redaction.request(request_with(body=body)).body[:MEGABYTE])


NO_SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30)
KINDS = st.sampled_from(sorted(SHAPED))


@st.composite
def bodies(draw):
    """A body of harmless pieces and secrets, and what is expected of it."""
    pieces, expected, numbers = [], [], {}
    for _ in range(draw(st.integers(0, 5))):
        harmless = draw(NO_SECRETS).encode() + b" "
        pieces.append(harmless)
        expected.append(harmless)
        if draw(st.booleans()):
            secret = SHAPED[draw(KINDS)].encode()
            number = numbers.setdefault(secret, len(numbers) + 1)
            pieces.append(secret + b" ")
            expected.append(b"[redacted-%d] " % number)
    return b"".join(pieces), b"".join(expected)


@given(bodies(), st.lists(st.integers(0, 300), max_size=8), st.booleans())
@settings(max_examples=200, deadline=None)
def test_chunks_and_delays_are_kept_and_so_is_all_that_is_no_secret(pair, cuts, in_json):
    body, expected = pair
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = tuple(Chunk(body[start:end], number / 7) for number, (start, end) in enumerate(pairwise(edges)))
    exchange = Exchange(request_with(body=body if in_json else b""), Response(200, (), chunks))
    redaction = rules()

    stored = redaction.exchange(exchange)

    assert stored.response.body == expected
    assert [chunk.delay for chunk in stored.response.chunks] == [chunk.delay for chunk in chunks]
    assert redaction.exchange(stored) == stored
    assert not redaction.find(stored.response.body)
    if body == expected:
        assert stored.response.chunks == chunks
    places = list(accumulate(len(chunk.data) for chunk in stored.response.chunks))
    assert places == sorted(places)


@given(st.binary(max_size=400), st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_bytes_at_random_are_not_touched(before, after):
    body = before + b" " + base64.b64encode(after) + b" " + after

    stored = rules().exchange(exchange_with(before, b" ", body[len(before) + 1 :]))

    assert stored.response.body == body


def test_redaction_does_not_change_what_it_is_given():
    exchange = exchange_with(SECRET.encode())
    copy = dataclasses.replace(exchange)

    rules().exchange(exchange)

    assert exchange == copy
    assert not PLACEHOLDERS.search(exchange.response.body.decode())
