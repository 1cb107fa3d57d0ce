"""Writing an answer of the Gemini wire: one object, an event stream, or an array of objects.

Rules, all of them seen in recorded traffic:

* A plain body is indented, as Google writes it; the data of an event is not, and its lines end in CRLF.
* Each object of a stream has the usage so far, the model and the id. Only the last one has the reason to
  stop, beside a text that is empty.
* Arguments come whole. A call that stops the model stops it with STOP, there is no other word for it.
* Several answers grow side by side: an object has the next piece of each.
* Gemini 3 signs the first call of a turn, and wants the signature back; so a signature is made up there.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import CREATED, Ids, stream_response
from llmreplay.codecs.gemini._failures import is_array, is_vertex
from llmreplay.codecs.gemini._finish import FINISH, spelled_reason
from llmreplay.codecs.gemini._parts import SIGNATURE, write_part
from llmreplay.codecs.gemini._request import STREAM, model_of
from llmreplay.completion import Reasoning, Refusal, Text
from llmreplay.exchange import Chunk, Response
from llmreplay.framing import jsonarray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmreplay.codecs._encoding import Cut
    from llmreplay.completion import Choice, CompletionResponse, LogProbs, TokenLogProb, TopLogProb, Usage
    from llmreplay.exchange import Headers, Request

__all__ = ["signs_calls", "write_response"]

_TYPE: Headers = (("content-type", "application/json; charset=UTF-8"),)
_URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def signs_calls(model: str | None) -> bool:
    """Return whether a model signs its calls, and wants the signatures back."""
    return (model or "").removeprefix("models/").startswith("gemini-3")


def write_response(response: CompletionResponse, request: Request, turn: int, cut: Cut) -> Response:
    """Return the answer, as the path of the request wants it."""
    written = _Written(response, request, turn)
    if not request.path.endswith(f":{STREAM}"):
        body = _indented(written.whole()) + b"\n"
        headers: Headers = (*_TYPE, ("content-length", str(len(body))))
        return Response(200, headers, (Chunk(body),))
    if is_array(request):
        elements = jsonarray.write(_indented(item) + b"\n" for item in written.pieces(cut))
        return stream_response(elements, content_type=_TYPE[0][1])
    frames = [b"data: " + _event(item) + b"\r\n\r\n" for item in written.pieces(cut)]
    return stream_response(frames, content_type="text/event-stream")


class _Written:
    """An answer, with what was not said about it made up."""

    def __init__(self, response: CompletionResponse, request: Request, turn: int) -> None:
        ids = Ids(request, turn)
        model = response.model or model_of(request) or ""
        self._response, self._vertex = response, is_vertex(request)
        self._about: dict[str, Any] = {"modelVersion": model}
        if self._vertex:
            made = datetime.fromtimestamp(response.created or CREATED, UTC)
            self._about["createTime"] = made.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._about["responseId"] = response.response_id or ids.new("", 22, _URL_SAFE)
        self._signature = ids.new("", 88, _BASE64) if signs_calls(model) else None

    def whole(self) -> dict[str, Any]:
        """Return the answer as one object."""
        candidates = []
        for choice in self._response.choices:
            parts = [part for content in choice.contents for part in write_part(content)]
            candidates.append(self._end(choice, self._signed(parts)))
        return {"candidates": candidates, "usageMetadata": self._usage(last=True), **self._about}

    def pieces(self, cut: Cut) -> Iterator[dict[str, Any]]:
        """Yield the objects of a stream."""
        columns = [self._column(choice, cut) for choice in self._response.choices]
        rows = list(zip_longest(*columns))
        for place, row in enumerate(rows, 1):
            candidates = [candidate for candidate in row if candidate is not None]
            usage = self._usage(last=place == len(rows))
            yield {"candidates": candidates, "usageMetadata": usage, **self._about}

    def _column(self, choice: Choice, cut: Cut) -> list[dict[str, Any]]:
        """Return the pieces of one answer; the last one says why it stopped, and nothing else."""
        parts = [part for content in choice.contents for part in _cut(content, cut)] or [{"text": ""}]
        pieces = [_candidate(choice, [part]) for part in self._signed(parts)]
        return [*pieces, self._end(choice, [{"text": ""}])]

    def _signed(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the parts, the first call of them signed where the model does so."""
        place = next((place for place, part in enumerate(parts) if "functionCall" in part), None)
        if place is None or self._signature is None or SIGNATURE in parts[place]:
            return parts
        signed = {**parts[place], SIGNATURE: self._signature}
        return [*parts[:place], signed, *parts[place + 1 :]]

    def _end(self, choice: Choice, parts: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a candidate that is at its end."""
        reason = spelled_reason(choice)
        candidate = _candidate(choice, parts, reason)
        if FINISH.get(reason) == "content_filter" and not any(part.get("text") for part in parts):
            candidate = {"finishReason": reason, "index": choice.index}
        if not choice.index:
            candidate |= _cited(self._response.citations, vertex=self._vertex)
        if choice.logprobs is not None:
            candidate["logprobsResult"] = _log_probs(choice.logprobs)
        return candidate

    def _usage(self, *, last: bool) -> dict[str, Any]:
        return _usage(self._response, last=last, vertex=self._vertex)


def _candidate(choice: Choice, parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    candidate: dict[str, Any] = {"content": content}
    if reason is not None:
        candidate["finishReason"] = reason
    candidate["index"] = choice.index
    return candidate


def _cut(content: Any, cut: Cut) -> list[dict[str, Any]]:
    """Return the parts of a content, its text in pieces; a signature comes with the last of them."""
    if not isinstance(content, (Text, Reasoning, Refusal)):
        return write_part(content)
    pieces: list[dict[str, Any]] = []
    for part in write_part(content):
        said: list[dict[str, Any]] = [{"text": piece} for piece in cut.text(part["text"])] or [{"text": ""}]
        if part.get("thought"):
            said = [{**piece, "thought": True} for piece in said]
        said[-1] |= {key: value for key, value in part.items() if key != "text"}
        pieces += said
    return pieces


def _cited(citations: list[Any], *, vertex: bool) -> dict[str, Any]:
    """Return where citations stand: pages that were found, and sources that were quoted."""
    found = [item for item in citations if isinstance(item, dict) and _FOUND & item.keys()]
    quoted = [item for item in citations if item not in found]
    fields: dict[str, Any] = {}
    if quoted:
        fields["citationMetadata"] = {"citations" if vertex else "citationSources": quoted}
    if found:
        fields["groundingMetadata"] = {"groundingChunks": found}
    return fields


_FOUND = {"web", "retrievedContext", "maps"}
"""The kinds of a grounding chunk."""


def _usage(response: CompletionResponse, *, last: bool, vertex: bool) -> dict[str, Any]:
    used: Usage = response.usage
    prompt = used.input_tokens - used.tool_use_prompt_tokens
    counts = {"promptTokenCount": prompt}
    if last:
        counts["candidatesTokenCount"] = used.output_tokens - used.reasoning_tokens
    counts["totalTokenCount"] = used.total_tokens if last else used.input_tokens
    more = {
        "cachedContentTokenCount": used.cached_input_tokens,
        "toolUsePromptTokenCount": used.tool_use_prompt_tokens,
        "thoughtsTokenCount": used.reasoning_tokens if last else 0,
    }
    written: dict[str, Any] = {**counts, **{key: count for key, count in more.items() if count}}
    written["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    if vertex:
        written["trafficType"] = "ON_DEMAND"
    if response.service_tier is not None:
        written["serviceTier"] = response.service_tier
    return written


def _log_probs(found: LogProbs) -> dict[str, Any]:
    tops = [{"candidates": [_token(top) for top in token.top_logprobs]} for token in found.content]
    fields: dict[str, Any] = {"chosenCandidates": [_token(token) for token in found.content]}
    return {"topCandidates": tops, **fields} if any(top["candidates"] for top in tops) else fields


def _token(token: TokenLogProb | TopLogProb) -> dict[str, Any]:
    return {"token": token.token, "logProbability": token.logprob}


def _indented(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass")


def _event(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ": ")).encode("utf-8", "surrogatepass")
