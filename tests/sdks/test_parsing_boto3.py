"""boto3 reads what the codecs write for Bedrock: Converse, ConverseStream and both kinds of InvokeModel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmreplay import codecs
from llmreplay.completion import (
    CompletionResponse,
    FinishReason,
    Image,
    ProviderContent,
    Reasoning,
    ReasoningPart,
    Text,
    ToolCall,
    Usage,
)
from llmreplay.exchange import Request, Response

boto3 = pytest.importorskip("boto3")

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ASKED: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "How is the weather?"}]}],
    "system": [{"text": "Be brief."}],
    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object"}}}}]
    },
}
CITED = {
    "title": "Weather",
    "sourceContent": [{"text": "sunny"}],
    "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": 5}},
}
TURN = CompletionResponse(
    choice=[
        Reasoning(parts=[ReasoningPart(text="Look at both.", signature="c2lnbmVk")]),
        Reasoning(parts=[ReasoningPart(kind="redacted", text="RU5D")]),
        Text(text="Let me look, Zoë. ☀️"),
        Text(text="It is sunny.", extra={"citations": [CITED]}),
        ToolCall(id="tooluse_1", name="get_weather", arguments={"city": "Paris", "days": [1, None]}),
        ToolCall(id="tooluse_2", name="get_weather", arguments={}),
    ],
    finish_reason=FinishReason.TOOL_CALLS,
    usage=Usage(input_tokens=120, output_tokens=17, cached_input_tokens=64, cache_creation_input_tokens=32),
)


class Raw:
    """What botocore reads a body from."""

    def __init__(self, response: Response) -> None:
        self.pieces, self.rest = [chunk.data for chunk in response.chunks], response.body

    def stream(self, *_: Any, **__: Any) -> Any:
        yield from self.pieces

    def read(self, size: int | None = None) -> bytes:
        size = len(self.rest) if size is None else size
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def close(self) -> None:
        self.rest = b""


def runtime(answer: Any, seen: list[Request] | None = None) -> Any:
    """Return a client whose requests are answered by `answer(codec, request)`."""
    from botocore.awsrequest import AWSResponse
    from botocore.config import Config

    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def handle(request: Any, **_: Any) -> Any:
        body = request.body or b""
        sent = Request(
            request.method, request.url, tuple((k, str(v)) for k, v in request.headers.items()), body
        )
        if seen is not None:
            seen.append(sent)
        response = answer(codecs.codec_of(sent), sent)
        return AWSResponse(request.url, response.status, dict(response.headers), Raw(response))

    client.meta.events.register("before-send.bedrock-runtime", handle)
    return client


def says(response: CompletionResponse) -> Any:
    return lambda codec, request: codec.encode_response(response, request)


def test_converse_is_parsed() -> None:
    seen: list[Request] = []

    found = runtime(says(TURN), seen).converse(**ASKED)

    thinking, redacted, text, cited, first, second = found["output"]["message"]["content"]
    assert thinking["reasoningContent"]["reasoningText"] == {"text": "Look at both.", "signature": "c2lnbmVk"}
    assert redacted["reasoningContent"]["redactedContent"] == b"ENC"
    assert text == {"text": "Let me look, Zoë. ☀️"}
    assert cited["citationsContent"] == {"content": [{"text": "It is sunny."}], "citations": [CITED]}
    assert first["toolUse"] == {
        "toolUseId": "tooluse_1",
        "name": "get_weather",
        "input": {"city": "Paris", "days": [1, None]},
    }
    assert second["toolUse"]["input"] == {}
    assert found["output"]["message"]["role"] == "assistant"
    assert found["stopReason"] == "tool_use"
    usage = found["usage"]
    assert (usage["inputTokens"], usage["outputTokens"], usage["totalTokens"]) == (24, 17, 137)
    assert (usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]) == (64, 32)
    assert found["metrics"]["latencyMs"] == 1
    assert found["ResponseMetadata"]["RequestId"]
    asked = codecs.decode_request(seen[0])
    assert (asked.model, asked.system, asked.prompt) == (MODEL, "Be brief.", "How is the weather?")
    assert (asked.max_tokens, asked.temperature, asked.tool_names) == (100, 0.5, ["get_weather"])


def test_converse_stream_is_parsed_event_by_event() -> None:
    events = list(runtime(says(TURN)).converse_stream(**ASKED)["stream"])

    names = [next(iter(event)) for event in events]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    assert [start["start"]["toolUse"]["toolUseId"] for start in starts] == ["tooluse_1", "tooluse_2"]
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert (
        "".join(item["delta"]["text"] for item in deltas if item["contentBlockIndex"] == 2)
        == TURN.choice[2].text
    )  # type: ignore[union-attr]
    assert {"redactedContent": b"ENC"} in [item["delta"].get("reasoningContent") for item in deltas]
    assert {"signature": "c2lnbmVk"} in [item["delta"].get("reasoningContent") for item in deltas]
    assert CITED in [item["delta"].get("citation") for item in deltas]
    written = "".join(item["delta"]["toolUse"]["input"] for item in deltas if item["contentBlockIndex"] == 4)
    assert json.loads(written) == {"city": "Paris", "days": [1, None]}
    assert events[-2]["messageStop"]["stopReason"] == "tool_use"
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 137


def test_an_image_is_parsed_plain_and_streamed() -> None:
    turn = CompletionResponse(choice=[Image(data="aGk=", media_type="image/png")])

    whole = runtime(says(turn)).converse(**ASKED)["output"]["message"]["content"]
    events = list(runtime(says(turn)).converse_stream(**ASKED)["stream"])

    assert whole == [{"image": {"format": "png", "source": {"bytes": b"hi"}}}]
    assert events[1]["contentBlockStart"]["start"] == {"image": {"format": "png"}}
    assert events[2]["contentBlockDelta"]["delta"] == {"image": {"source": {"bytes": b"hi"}}}


def test_a_tool_that_bedrock_runs_itself_is_parsed() -> None:
    called = {"toolUseId": "t1", "name": "search", "input": {"q": "x"}, "type": "server_tool_use"}
    answered = {"toolUseId": "t1", "content": [{"text": "found"}], "type": "search_result"}
    contents = [ProviderContent(kind="toolUse", raw=called), ProviderContent(kind="toolResult", raw=answered)]
    turn = CompletionResponse(choice=contents)

    whole = runtime(says(turn)).converse(**ASKED)["output"]["message"]["content"]
    events = list(runtime(says(turn)).converse_stream(**ASKED)["stream"])

    assert whole == [{"toolUse": called}, {"toolResult": answered}]
    starts = [event["contentBlockStart"]["start"] for event in events if "contentBlockStart" in event]
    assert starts[0]["toolUse"]["type"] == "server_tool_use"
    assert starts[1]["toolResult"]["toolUseId"] == "t1"


def invoked() -> dict[str, Any]:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    return {"modelId": MODEL, "body": json.dumps(body)}


TALK = TURN.model_copy(update={"choice": [TURN.choice[0], *TURN.choice[2:3], *TURN.choice[4:]]})


def test_invoke_model_gives_the_message_of_anthropic() -> None:
    found = runtime(says(TALK)).invoke_model(**invoked())

    message = json.loads(found["body"].read())
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert message["stop_reason"] == "tool_use"
    assert message["model"] == "claude-sonnet-4-5-20250929"
    assert found["contentType"] == "application/json"
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "24"


def test_invoke_model_with_a_stream_gives_the_events_of_anthropic() -> None:
    found = runtime(says(TALK)).invoke_model_with_response_stream(**invoked())

    events = [json.loads(event["chunk"]["bytes"]) for event in found["body"]]
    assert [event["type"] for event in events[:3]] == ["message_start", "content_block_start", "ping"]
    assert events[-1]["type"] == "message_stop"
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 17
    assert found["contentType"] == "application/json"


ERRORS = {
    "invalid_request": (400, "ValidationException"),
    "authentication": (403, "UnrecognizedClientException"),
    "permission_denied": (403, "AccessDeniedException"),
    "not_found": (404, "ResourceNotFoundException"),
    "request_too_large": (400, "ValidationException"),
    "rate_limited": (429, "ThrottlingException"),
    "quota_exhausted": (400, "ServiceQuotaExceededException"),
    "server_error": (500, "InternalServerException"),
    "overloaded": (503, "ServiceUnavailableException"),
}


@pytest.mark.parametrize(("kind", "expected"), ERRORS.items())
@pytest.mark.parametrize(
    "call", ["converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream"]
)
def test_every_error_is_raised_as_the_exception_of_the_service(
    kind: Any, expected: tuple[int, str], call: str
) -> None:
    from botocore.exceptions import ClientError

    client = runtime(lambda codec, request: codec.encode_error(kind, request, message="Not today."))
    asked = ASKED if call.startswith("converse") else invoked()

    with pytest.raises(ClientError, match="Not today") as caught:
        getattr(client, call)(**asked)

    status, name = expected
    assert caught.value.response["Error"]["Code"] == name
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    known = getattr(client.exceptions, name, None) if name != "UnrecognizedClientException" else ClientError
    modelled = call.startswith("invoke") or name != "ServiceQuotaExceededException"
    assert not modelled or isinstance(caught.value, known)


def test_a_timeout_of_the_model_needs_its_status() -> None:
    client = runtime(lambda codec, request: codec.encode_error("timeout", request, status=408))

    with pytest.raises(client.exceptions.ModelTimeoutException):
        client.converse(**ASKED)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rate_limited", "throttlingException"),
        ("server_error", "internalServerException"),
        ("overloaded", "serviceUnavailableException"),
        ("invalid_request", "validationException"),
    ],
)
@pytest.mark.parametrize("call", ["converse_stream", "invoke_model_with_response_stream"])
def test_an_exception_frame_ends_a_stream(kind: Any, name: str, call: str) -> None:
    from botocore.exceptions import EventStreamError

    def broken(codec: Any, request: Request) -> Response:
        whole = codec.encode_response(TALK, request)
        error = codec.encode_stream_error(kind, request, message="Not now.")
        return Response.of(200, [*[chunk.data for chunk in whole.chunks[:3]], error], whole.headers)

    found = getattr(runtime(broken), call)(**(ASKED if call == "converse_stream" else invoked()))

    with pytest.raises(EventStreamError, match="Not now") as caught:
        list(found["stream" if call == "converse_stream" else "body"])
    assert caught.value.response["Error"]["Code"] == name


def test_a_rejection_reaches_the_caller_as_bedrock_says_it() -> None:
    def strict(codec: Any, request: Request) -> Response:
        rejection = codec.check(request)
        assert rejection is not None
        return rejection.response

    client = runtime(strict)
    use = {"toolUse": {"toolUseId": "t1", "name": "get_weather", "input": {}}}
    messages = [*ASKED["messages"], {"role": "assistant", "content": [use]}, ASKED["messages"][0]]

    with pytest.raises(client.exceptions.ValidationException, match="Expected toolResult blocks") as caught:
        client.converse(**{**ASKED, "messages": messages})

    assert (
        caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-llmreplay-strict"]
        == "unanswered-tool-call"
    )
