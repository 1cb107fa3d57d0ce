"""Writing an answer of Ollama's own wire: one object, or a line for each piece of it.

Arguments come whole, as an object. Only the last line says why it is the last, and what was used.
Ollama escapes what its JSON library does: `<`, `>`, `&` and the two line ends of Unicode.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import CREATED, Ids, compact, stream_response
from llmreplay.codecs.ollama._request import is_prompt, wants_stream
from llmreplay.codecs.ollama._write_request import write_call
from llmreplay.completion import Image, Reasoning, Refusal, Text
from llmreplay.exchange import Chunk, Response
from llmreplay.framing import ndjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.codecs._encoding import Cut
    from llmreplay.completion import CompletionResponse, TokenLogProb, TopLogProb
    from llmreplay.exchange import Headers, Request

__all__ = ["spelled", "write_body", "write_response"]

_JSON = "application/json; charset=utf-8"
_LINES = "application/x-ndjson"
_REASONS = {"stop": "stop", "tool_calls": "stop", "content_filter": "stop", "length": "length"}
_ESCAPED = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"))
_LINE_ENDS = (("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))
_PER_TOKEN = 20_000_000  # nanoseconds
_CALL_ID = "abcdefghijklmnopqrstuvwxyz0123456789"


def spelled(value: Any) -> bytes:
    """Return JSON as Go writes it."""
    data = compact(value)
    for plain, escaped in (*_ESCAPED, *_LINE_ENDS):
        data = data.replace(plain, escaped)
    return data


def write_body(value: Any, status: int = 200, headers: Headers = ()) -> Response:
    """Return a plain answer."""
    body = spelled(value)
    own: Headers = (("content-type", _JSON), ("content-length", str(len(body))))
    return Response(status, (*own, *headers), (Chunk(body),))


def write_response(response: CompletionResponse, request: Request, turn: int, cut: Cut) -> Response:
    """Return the answer as the request wants it: a stream, unless it says otherwise."""
    written = _Written(response, request, turn)
    if not wants_stream(request):
        return write_body(written.whole())
    lines = [ndjson.write(spelled(line)) for line in written.lines(cut)]
    return stream_response(lines, content_type=_LINES)


class _Written:
    """An answer, with what was not said about it made up."""

    def __init__(self, response: CompletionResponse, request: Request, turn: int) -> None:
        asked = request.json if isinstance(request.json, dict) else {}
        made = datetime.fromtimestamp(response.created or CREATED, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._about = {"model": response.model or str(asked.get("model") or ""), "created_at": made}
        self._response, self._prompt = response, is_prompt(request)
        ids = Ids(request, turn)
        self._calls = [
            write_call(
                call if call.id else call.model_copy(update={"id": ids.new("call_", 8, _CALL_ID)}), index
            )
            for index, call in enumerate(response.tool_calls)
        ]
        if self._calls and self._prompt:
            raise ValueError("there are no tool calls in an answer to a prompt: ask with /api/chat")

    def whole(self) -> dict[str, Any]:
        """Return the answer as one object."""
        fields: dict[str, Any] = {}
        for name, said in self._said():
            fields[name] = fields.get(name, "") + said
        images = [item.data for item in self._response.choice if isinstance(item, Image)]
        if images:
            fields["images"] = images
        if self._calls:
            fields["tool_calls"] = self._calls
        return {**self._line(fields), **self._end(), **self._log_probs(0, None)}

    def lines(self, cut: Cut) -> Iterator[dict[str, Any]]:
        """Yield the lines of a stream."""
        pieces: list[dict[str, Any]] = []
        pieces += [{name: piece} for name, said in self._said() for piece in cut.text(said)]
        pieces += [{"images": [item.data]} for item in self._response.choice if isinstance(item, Image)]
        pieces += [{"tool_calls": [call]} for call in self._calls]
        pieces = pieces or [{}]
        for place, fields in enumerate(pieces):
            last = place == len(pieces) - 1
            yield {**self._line(fields), "done": False, **self._log_probs(place, None if last else place + 1)}
        yield {**self._line({}), **self._end()}

    def _said(self) -> list[tuple[str, str]]:
        """Return the thoughts and texts, each with the field it stands in, thoughts first."""
        thoughts = [("thinking", item.text) for item in self._response.choice if isinstance(item, Reasoning)]
        name = "response" if self._prompt else "content"
        texts = [(name, item.text) for item in self._response.choice if isinstance(item, (Text, Refusal))]
        return [*thoughts, *texts]

    def _line(self, fields: dict[str, Any]) -> dict[str, Any]:
        if self._prompt:
            return {**self._about, "response": "", **fields}
        return {**self._about, "message": {"role": "assistant", "content": "", **fields}}

    def _end(self) -> dict[str, Any]:
        response = self._response
        reason = response.finish_reason or "stop"
        asked, said = response.usage.input_tokens, response.usage.output_tokens
        return {
            "done": True,
            "done_reason": _REASONS.get(reason, str(reason)),
            "total_duration": (asked + said + 10) * _PER_TOKEN,
            "load_duration": 10 * _PER_TOKEN,
            "prompt_eval_count": asked,
            "prompt_eval_duration": asked * _PER_TOKEN,
            "eval_count": said,
            "eval_duration": said * _PER_TOKEN,
        }

    def _log_probs(self, start: int, end: int | None) -> dict[str, Any]:
        if self._response.logprobs is None:
            return {}
        tokens = self._response.logprobs.content[start:end]
        found = [
            {**_token(token), "top_logprobs": [_token(top) for top in token.top_logprobs]} for token in tokens
        ]
        return {"logprobs": found} if found else {}


def _token(token: TokenLogProb | TopLogProb) -> dict[str, Any]:
    spelled_bytes = {} if token.bytes is None else {"bytes": token.bytes}
    return {"token": token.token, "logprob": token.logprob, **spelled_bytes}
