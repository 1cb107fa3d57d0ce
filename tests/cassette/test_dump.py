"""A file that is a response alone becomes an exchange, told where it came from."""

from __future__ import annotations

import base64
import json

import httpx2
import pytest

from llmreplay import load, use_cassette
from llmreplay.errors import CassetteError, CassetteNotFound, OptionError
from llmreplay.exchange import Chunk, Exchange, Provenance, Request, Response
from llmreplay.framing import eventstream

CHAT = "https://api.openai.com/v1/chat/completions"
MESSAGES = "https://api.anthropic.com/v1/messages"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent"
ANSWER = b'{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Rain."}}]}\n'
DELTA = b'{"id":"c","choices":[{"index":0,"delta":{"content":"Rain."},"finish_reason":"stop"}]}'
STOPPED = {"messageStop": {"stopReason": "end_turn"}}


@pytest.fixture
def dumped(tmp_path):
    """Write a dump and load it; returns its one exchange."""

    def dumped(data: bytes, url: str = CHAT, **options: object) -> Exchange:
        path = tmp_path / "answer"
        path.write_bytes(data)
        cassette = load(path, url=url, **options)
        assert cassette.format == "dump"
        [exchange] = cassette.exchanges
        return exchange

    return dumped


def of(kind: str, body: bytes) -> Response:
    return Response(200, (("content-type", kind),), (Chunk(body),))


def test_a_json_body_is_the_answer_to_a_post_without_a_body(dumped) -> None:
    exchange = dumped(ANSWER)

    assert exchange == Exchange(
        Request("POST", CHAT),
        of("application/json", ANSWER),
        provenance=Provenance("imported", boundaries=False),
    )
    assert exchange.decode().text == "Rain."


def test_with_its_request_it_replays_as_it_is(tmp_path) -> None:
    body, asked, path = tmp_path / "answer.json", tmp_path / "asked.json", tmp_path / "weather.yaml"
    body.write_bytes(ANSWER)
    asked.write_bytes(b'{"model": "m", "messages": []}')

    cassette = load(body, url=CHAT, request=asked)
    cassette.save(path)

    assert cassette.exchanges[0].request == Request(
        "POST", CHAT, (("content-type", "application/json"),), b'{"model": "m", "messages": []}'
    )
    with use_cassette(path), httpx2.Client(trust_env=False) as client:
        assert client.post(CHAT, json={"messages": [], "model": "m"}).content == ANSWER


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'data: {"choices":[]}\n\ndata: [DONE]\n\n', "text/event-stream"),
        (b"\n: ping\n\nevent: x\ndata\n\n", "text/event-stream"),
        (b"event: message_stop\r\ndata: {}\r\n\r\n", "text/event-stream"),
        (b"[1, 2]", "application/json"),
        (b'"text"', "application/json"),
        (eventstream.write(eventstream.event("chunk", b"{}")), "application/vnd.amazon.eventstream"),
    ],
)
def test_a_body_is_kept_to_the_byte_and_told_by_its_bytes(dumped, data, kind) -> None:
    assert dumped(data).response == of(kind, data)


def test_lines_of_json_are_put_back_into_the_events_they_were(dumped) -> None:
    exchange = dumped(DELTA + b"\n\n" + DELTA + b"\n")

    assert exchange.response == of("text/event-stream", b"data: %b\n\ndata: %b\n\n" % (DELTA, DELTA))
    assert exchange.decode().text == "Rain.Rain."


def test_events_get_the_names_that_are_in_them(dumped) -> None:
    lines = b'{"type":"ping"}\n{"event_type":"step.start"}\n{"type":"no name"}\n{"type":1}\n'

    assert dumped(lines, MESSAGES).response == of(
        "text/event-stream",
        b'event: ping\ndata: {"type":"ping"}\n\nevent: step.start\ndata: {"event_type":"step.start"}\n\n'
        b'data: {"type":"no name"}\n\ndata: {"type":1}\n\n',
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434/api/chat", "https://api.example.com/other"])
def test_lines_stay_lines_where_the_wire_has_them_and_where_it_is_not_known(dumped, url) -> None:
    lines = b'{"done":false}\r\n{"done":true}'

    assert dumped(lines, url).response == of("application/x-ndjson", lines)


def test_lines_become_the_elements_of_an_array_where_google_sends_one(dumped) -> None:
    lines = b'{"candidates":[]}\n{"candidates":[1]}\n'

    assert dumped(lines, GEMINI).response == of(
        "application/json", b'[{"candidates":[]},\r\n{"candidates":[1]}]'
    )
    assert dumped(lines, f"{GEMINI}?alt=sse").response == of(
        "text/event-stream", b'data: {"candidates":[]}\n\ndata: {"candidates":[1]}\n\n'
    )


def frames_of(response: Response) -> list[tuple[str | None, object]]:
    parser = eventstream.EventStreamParser()
    parser.receive(response.body)
    return [(frame.text(":event-type"), json.loads(frame.payload)) for frame in iter(parser.next_frame, None)]


def test_lines_become_the_events_of_an_aws_stream(dumped) -> None:
    lines = json.dumps({"messageStart": {"role": "assistant"}}) + "\n" + json.dumps(STOPPED) + "\n"

    exchange = dumped(lines.encode(), f"{BEDROCK}/converse-stream")

    assert exchange.response.header("content-type") == "application/vnd.amazon.eventstream"
    assert frames_of(exchange.response) == [
        ("messageStart", {"role": "assistant"}),
        ("messageStop", {"stopReason": "end_turn"}),
    ]


def test_what_is_no_event_of_aws_becomes_a_chunk_of_one(dumped) -> None:
    exchange = dumped(b'{"a":1}\n{"b":{},"c":{}}\n', f"{BEDROCK}/converse-stream")

    assert frames_of(exchange.response) == [("chunk", {"a": 1}), ("chunk", {"b": {}, "c": {}})]


def test_lines_of_a_model_that_is_invoked_are_wrapped_as_bedrock_does(dumped) -> None:
    exchange = dumped(b'{"type":"ping"}\n{"a":2}\n', f"{BEDROCK}/invoke-with-response-stream")

    assert frames_of(exchange.response) == [
        ("chunk", {"bytes": base64.b64encode(line).decode()}) for line in (b'{"type":"ping"}', b'{"a":2}')
    ]


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_what_curl_prints_has_its_status_and_headers(dumped, eol) -> None:
    head = [
        b"HTTP/1.1 100 Continue",
        b"",
        b"HTTP/2 529 Overloaded today",
        b"content-type: application/json",
        b"content-encoding: gzip",
        b"content-length: 99",
        b"",
        b'{"type":"error"}',
    ]

    assert dumped(eol.join(head), MESSAGES).response == Response(
        529,
        (("content-type", "application/json"), ("content-length", "16")),
        (Chunk(b'{"type":"error"}'),),
        http_version="HTTP/2",
        reason="Overloaded today",
    )


def test_what_curl_prints_may_have_no_body_and_no_phrase(dumped) -> None:
    assert dumped(b"HTTP/2 204\r\nx-request-id: 1\r\n\r\n").response == Response(
        204, (("x-request-id", "1"),), http_version="HTTP/2"
    )


@pytest.mark.parametrize(
    ("wrapped", "response"),
    [
        (
            {"status": 429, "headers": {"retry-after": "2"}, "body": "slow down"},
            Response(429, (("retry-after", "2"),), (Chunk(b"slow down"),)),
        ),
        ({"status_code": 200, "body": {"a": 1}}, Response(200, (), (Chunk(b'{"a":1}'),))),
        (
            {"status": 200, "headers": {"Content-Length": "8"}, "body": {"a": 1}},
            Response(200, (("Content-Length", "8"),), (Chunk(b'{"a": 1}'),)),
        ),
    ],
)
def test_an_object_of_status_headers_and_body_is_what_it_says(dumped, wrapped, response) -> None:
    assert dumped(json.dumps(wrapped, indent=2).encode()).response == response


@pytest.mark.parametrize(
    "body", [{"status": "ok", "body": "x"}, {"status": 1, "body": "", "id": 1}, {"body": 1}]
)
def test_an_object_that_merely_looks_alike_is_a_body(dumped, body) -> None:
    data = json.dumps(body).encode()

    assert dumped(data).response == of("application/json", data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty, so it is no response."),
        (b" \n", "is empty, so it is no response."),
        (b"# Readme\n", "is no response that llmreplay knows.\n  known: JSON, server-sent events,"),
        (b'{"a":1}\n\n{"b":\n', "and what curl -i prints\n  line 3 is no JSON object"),
        (b'{"a":1', "and what curl -i prints"),
        (b"[1]\n[2]\n", "is no response that llmreplay knows."),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n", "is no response that llmreplay knows."),
        (b"\x00\xff\x89PNG", "is no response that llmreplay knows."),
    ],
)
def test_any_other_file_is_refused(dumped, data, problem) -> None:
    with pytest.raises(CassetteError) as caught:
        dumped(data)

    assert problem in str(caught.value)


@pytest.mark.parametrize("url", ["", "api.openai.com/v1", "ftp://host/x", "https://", "http://[::1"])
def test_a_url_has_to_be_one(dumped, url) -> None:
    with pytest.raises(OptionError, match="expected where the request went, such as https://"):
        dumped(ANSWER, url)


def test_a_request_needs_a_url_and_has_to_be_there(tmp_path, dumped) -> None:
    with pytest.raises(OptionError, match=r"request is '.*none\.json'; expected a file with the body"):
        dumped(ANSWER, request=tmp_path / "none.json")
    with pytest.raises(OptionError, match="url is None; expected where the request went, since its body was"):
        load(tmp_path / "answer", request=tmp_path / "answer")


def test_a_cassette_tells_its_requests(tmp_path) -> None:
    path = tmp_path / "weather.httprr"
    asked, told = b"GET http://h/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nyes"
    path.write_bytes(b"httprr trace v1\n%d %d\n%b%b" % (len(asked), len(told), asked, told))

    with pytest.raises(OptionError, match=r"expected none: .* has the format httprr, and tells where"):
        load(path, url=CHAT)
    with pytest.raises(OptionError, match=r"expected none: .* has the format httprr, with its requests"):
        load(path, url=CHAT, request=path)


def test_a_dump_is_saved_elsewhere_and_never_over_itself(tmp_path) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(ANSWER)
    cassette = load(path, url=CHAT)

    with pytest.raises(OptionError, match="has the format dump, which is only read"):
        cassette.save()
    with pytest.raises(CassetteNotFound):
        load(tmp_path / "none.json", url=CHAT)
    assert path.read_bytes() == ANSWER
