"""boto3 over its own connections: recorded from a server here, replayed offline, refused live, scripted."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from llmreplay import UnmatchedRequest, codecs, cut, fail, load, say, use_cassette, use_script
from llmreplay.completion import CompletionResponse, FinishReason, Text, ToolCall, Usage
from llmreplay.errors import SwallowedRefusals
from llmreplay.exchange import Request
from tests.loopback import Received, Reply, Server

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ASKED: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "How is the weather?"}]}],
}
INVOKED: dict[str, Any] = {
    "modelId": MODEL,
    "body": json.dumps(
        {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 100,
            "messages": [{"role": "user", "content": "Hi"}],
        }
    ),
}
TURN = CompletionResponse(
    choice=[
        Text(text="Let me look, Zoë."),
        ToolCall(id="tooluse_1", name="get_weather", arguments={"city": "Paris"}),
    ],
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(input_tokens=120, output_tokens=17),
)


def converse(client: Any) -> Any:
    return client.converse(**ASKED)["output"]["message"]["content"]


def converse_stream(client: Any) -> Any:
    return list(client.converse_stream(**ASKED)["stream"])


def invoke_model(client: Any) -> Any:
    return json.loads(client.invoke_model(**INVOKED)["body"].read())


def invoke_in_pieces(client: Any) -> Any:
    body = client.invoke_model(**INVOKED)["body"]
    return [body.read(10), *body.iter_chunks(7)]


def invoke_with_stream(client: Any) -> Any:
    found = client.invoke_model_with_response_stream(**INVOKED)
    return [json.loads(event["chunk"]["bytes"]) for event in found["body"]]


CALLS = [converse, converse_stream, invoke_model, invoke_in_pieces, invoke_with_stream]
STREAMS = [converse_stream, invoke_with_stream]


def runtime(url: str | None = None, attempts: int = 1) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


def bedrock(received: Received) -> Reply:
    """Answer as Bedrock does, on its own wires."""
    asked = Request(received.method, f"http://127.0.0.1{received.target}", received.headers, received.body)
    response = codecs.codec_of(asked).encode_response(TURN, asked)
    headers = [pair for pair in response.headers if pair[0] != "transfer-encoding"]
    return Reply(200, headers, chunks=[chunk.data for chunk in response.chunks], lockstep=False)


@pytest.mark.parametrize("call", CALLS)
def test_what_is_recorded_is_replayed_offline_the_same(call, tmp_path):
    tape = tmp_path / "tape.yaml"
    with Server(bedrock) as server:
        client = runtime(server.url)
        bare = call(client)
        with use_cassette(tape, record="once"):
            live = call(client)
        count = len(server.requests)
    with use_cassette(tape):
        played = call(client)

    assert bare == live == played
    assert count == 2
    (exchange,) = load(tape).exchanges
    assert (exchange.provenance.edge, exchange.provenance.boundaries) == ("botocore", False)
    assert exchange.decode().usage == TURN.usage
    assert "Let me look, Zoë." in exchange.decode().text


@pytest.mark.parametrize("call", CALLS)
def test_no_key_of_aws_is_in_a_cassette(call, tmp_path):
    tape = tmp_path / "tape.yaml"
    with Server(bedrock) as server, use_cassette(tape, record="once"):
        call(runtime(server.url))
        assert "AKIAIOSFODNN7EXAMPLE" in (server.requests[0].header("authorization") or "")
    assert b"AKIAIOSFODNN7EXAMPLE" not in tape.read_bytes()


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("call", CALLS)
def test_a_live_call_is_refused_as_it_is_and_not_retried(call, attempts, tmp_path):
    tape = tmp_path / "tape.yaml"
    with Server(bedrock) as server, use_cassette(tape, record="once"):
        runtime(server.url).converse(**{**ASKED, "system": [{"text": "Be brief."}]})
    with pytest.raises(UnmatchedRequest) as refused, use_cassette(tape):
        call(runtime(attempts=attempts))
    assert refused.value.request.url.startswith("https://bedrock-runtime.us-east-1.amazonaws.com/model/")
    assert not getattr(refused.value, "__notes__", None)


def test_a_refusal_that_is_caught_after_all_fails_the_session(tmp_path):
    tape = tmp_path / "tape.yaml"
    with Server(bedrock) as server, use_cassette(tape, record="once"):
        converse(runtime(server.url))

    def careless() -> None:
        try:
            invoke_model(runtime(server.url))
        except BaseException:
            converse(runtime(server.url))

    with pytest.raises(SwallowedRefusals, match="1 request had to be refused"), use_cassette(tape):
        careless()


def test_each_attempt_of_a_retry_is_an_exchange_of_its_own(tmp_path, monkeypatch):
    import botocore.endpoint

    slept: list[float] = []
    monkeypatch.setattr(botocore.endpoint.time, "sleep", slept.append)
    tape = tmp_path / "tape.yaml"
    busy = Reply.json({"message": "Slow down."}, 429, headers={"x-amzn-errortype": "ThrottlingException"})
    answers = iter([busy, Reply(ending="drop"), None])
    with Server(lambda received: next(answers) or bedrock(received)) as server:
        client = runtime(server.url, attempts=3)
        with use_cassette(tape, record="once"):
            live = converse(client)
    exchanges = load(tape).exchanges
    with use_cassette(tape):
        assert converse(client) == live

    assert [exchange.response and exchange.response.status for exchange in exchanges] == [429, None, 200]
    assert exchanges[1].failure.error == "RemoteProtocolError"
    assert len(slept) == 4


@pytest.mark.parametrize("call", STREAMS)
def test_events_are_handed_on_as_they_come_while_they_are_recorded(call, tmp_path):
    tape = tmp_path / "tape.yaml"

    def slowly(received: Received) -> Reply:
        whole = bedrock(received)
        return Reply(200, whole.headers, chunks=whole.chunks, lockstep=True)

    with Server(slowly) as server, use_cassette(tape, record="once"):
        client = runtime(server.url)
        if call is converse_stream:
            events = client.converse_stream(**ASKED)["stream"]
        else:
            events = client.invoke_model_with_response_stream(**INVOKED)["body"]
        # Whoever waits for all of it waits for ever: the server sends no event before it is told.
        seen = [server.step() for _ in events]
    assert len(seen) > 3
    with use_cassette(tape):
        assert len(call(runtime(server.url))) == len(seen)


def test_a_stream_that_is_left_early_gets_as_far_again(tmp_path):
    tape = tmp_path / "tape.yaml"

    def first(client: Any) -> Any:
        found = client.converse_stream(**ASKED)["stream"]
        event = next(iter(found))
        found.close()
        return event

    with Server(bedrock) as server, use_cassette(tape, record="once"):
        live = first(runtime(server.url))
    with use_cassette(tape):
        assert first(runtime(server.url)) == live == {"messageStart": {"role": "assistant"}}


BREAKS = {
    "eof": urllib3.exceptions.ProtocolError,
    "reset": urllib3.exceptions.ProtocolError,
    "timeout": urllib3.exceptions.ReadTimeoutError,
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_scripted_stream_that_breaks_is_an_error_after_what_came(how):
    seen: list[Any] = []
    breaking = cut(say("One two three four five six seven."), 4, how=how)
    with use_script(breaking), pytest.raises(BREAKS[how]):
        for event in runtime().converse_stream(**ASKED)["stream"]:
            seen.append(event)  # noqa: PERF402  what came before the error counts
    assert 0 < len(seen) <= 4


def test_scripted_errors_are_those_of_the_service():
    client = runtime()
    with use_script(fail("rate_limited", "Not today."), fail("overloaded", during="One two three.", after=3)):
        with pytest.raises(client.exceptions.ThrottlingException, match="Not today"):
            client.converse(**ASKED)
        with pytest.raises(EventStreamError):
            list(client.converse_stream(**ASKED)["stream"])
    assert issubclass(client.exceptions.ThrottlingException, ClientError)
