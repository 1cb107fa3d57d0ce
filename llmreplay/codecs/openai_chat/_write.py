"""Writing answers of the chat wire, plain or as a stream, each in the dialect of the request's host.

Rules:

* The order of what a message holds is the wire's: reasoning, text, refusal, tool calls, media.
* What a dialect has no place for is left out: OpenAI shows no reasoning, and only OpenRouter signs it.
* Plain and streamed answers stand side by side, so that neither forgets what the other says.
* What was decoded here (raw finish reason, usage object, arguments) is spelled as it was.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import (
    ALPHANUMERIC,
    CREATED,
    HEXADECIMAL,
    Cut,
    Ids,
    compact,
    json_response,
    stream_response,
)
from llmreplay.codecs._json import mapping, without
from llmreplay.codecs.openai_chat._deferred import DEFERRED
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.codecs.openai_chat._message import FINISH, write_call, write_log_probs
from llmreplay.codecs.openai_chat._said import (
    Said,
    cut_text,
    grown,
    sound_deltas,
    write_detail,
    write_details,
    write_drawn,
    write_sound,
    write_thinking,
    write_usage,
)
from llmreplay.completion import FinishReason, LogProbs, ToolCall
from llmreplay.exchange import Headers, Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmreplay.codecs.openai_chat._dialects import Dialect
    from llmreplay.completion import Choice, CompletionResponse, ReasoningPart
    from llmreplay.exchange import Request

__all__ = ["request_headers", "spelled", "write_response"]

_ALPHABETS = {"h": HEXADECIMAL, "d": "123456789", "a": ALPHANUMERIC}
_BLANK = re.compile(r"\{([ahd])(\d+)\}")


def write_response(
    response: CompletionResponse,
    request: Request,
    *,
    turn: int = 0,
    cut: Cut = Cut(),
) -> Response:
    """Return the answer as the request wants it: JSON, a stream, or xAI's promise of an answer."""
    writer = _Writer(response, request, dialect_of(request), Ids(request, turn), cut)
    asked = mapping(request.json)
    if request.method == "GET" and response.finish_reason == DEFERRED:
        return Response.of(202, b"", writer.headers)
    if asked.get("deferred") is True:
        promise = {"request_id": response.request_id or spelled(writer.dialect.answer_id, writer.ids)}
        return json_response(promise, headers=writer.headers, content_type=writer.dialect.json_type)
    if asked.get("stream") is True:
        frames = list(writer.frames(mapping(asked.get("stream_options"))))
        return stream_response(frames, writer.headers, writer.dialect.stream_type)
    return json_response(writer.body(), headers=writer.headers, content_type=writer.dialect.json_type)


def spelled(pattern: str, ids: Ids) -> str:
    """Return a new id, with the blanks of its pattern filled in."""
    return "".join(
        [piece if isinstance(piece, str) else ids.new("", *piece) for piece in _pieces_of(pattern)]
    )


@cache
def _pieces_of(pattern: str) -> list[str | tuple[int, str]]:
    """Return what a pattern says, and for each blank how many characters of which alphabet it wants."""
    said, *blanks = _BLANK.split(pattern.replace("{created}", str(CREATED)))
    pieces: list[str | tuple[int, str]] = [said]
    for alphabet, length, more in zip(*[iter(blanks)] * 3, strict=True):
        pieces += [(int(length), _ALPHABETS[alphabet]), more]
    return [piece for piece in pieces if piece]


def request_headers(dialect: Dialect, ids: Ids, given: str | None = None) -> Headers:
    """Return the header with the provider's id of the request, if it has one."""
    if dialect.request_id is None:
        return ()
    name, pattern = dialect.request_id
    return ((name, given or spelled(pattern, ids)),)


def _deployment(request: Request) -> str:
    """Return what Azure's addresses say in the place of a model."""
    return request.path.partition("/deployments/")[2].partition("/")[0]


class _Writer:
    """One answer in the making, for one request."""

    def __init__(
        self, response: CompletionResponse, request: Request, dialect: Dialect, ids: Ids, cut: Cut
    ) -> None:
        self.dialect, self.ids, self._response, self._cut = dialect, ids, response, cut
        asked = mapping(request.json)
        self._id = response.response_id or spelled(dialect.answer_id, ids)
        self.headers = request_headers(dialect, ids, response.request_id)
        self._functions = bool(asked.get("functions")) and not asked.get("tools")
        self._head: dict[str, Any] = {
            "id": self._id,
            "created": CREATED if response.created is None else response.created,
            "model": response.model or asked.get("model") or _deployment(request) or "model",
        }
        self._tail: dict[str, Any] = {}
        if dialect.fingerprint is None or dialect.fingerprint or response.system_fingerprint:
            made = spelled(dialect.fingerprint, ids) if dialect.fingerprint else None
            self._tail["system_fingerprint"] = response.system_fingerprint or made
        if dialect.tier or response.service_tier:
            self._tail["service_tier"] = response.service_tier or dialect.tier
        beside = dialect.citations == "citations"
        self._citations = [item for item in response.citations if beside or not isinstance(item, dict)]
        self._annotations = [item for item in response.citations if not beside and isinstance(item, dict)]

    # ------------------------------------------------------------------------------------- plain

    def body(self) -> dict[str, Any]:
        """Return a plain answer."""
        found = {
            **self._head,
            "object": "chat.completion",
            "choices": [self._choice(choice) for choice in self._response.choices],
            "usage": write_usage(self._response.usage, self.dialect),
            **self._tail,
            **self.dialect.more,
        }
        if self._citations:
            found["citations"] = self._citations
        if self.dialect.x_groq:
            found["x_groq"] = {"id": spelled("req_{a26}", self.ids)}
        return found

    def _choice(self, choice: Choice) -> dict[str, Any]:
        entry = {
            "index": choice.index,
            "message": self._message(choice),
            "finish_reason": self._finish(choice),
        }
        if self.dialect.logprobs:
            entry["logprobs"] = write_log_probs(choice.logprobs)
        return {**entry, **self._more(choice)}

    def _message(self, choice: Choice) -> dict[str, Any]:
        said, dialect = Said.of(choice.contents), self.dialect
        message: dict[str, Any] = {
            "role": "assistant",
            "content": said.content(dialect),
            **dialect.message_more,
        }
        if said.thoughts:
            message |= self._reasoning(said.thoughts)
        if dialect.refusals or said.refusal is not None:
            message["refusal"] = said.refusal
        if self._annotations and choice.index == 0:
            message["annotations"] = self._annotations
        if said.calls and self._functions:
            first = write_call(said.calls[0], "")
            message["function_call"] = first.get("function")
        elif said.calls:
            written = [write_call(call, self._call_id(call)) for call in said.calls]
            places = [{"index": place} if dialect.call_index else {} for place in range(len(written))]
            message["tool_calls"] = [{**place, **call} for place, call in zip(places, written, strict=True)]
        if said.sound is not None:
            message["audio"] = write_sound(said.sound, self._head["created"])
        if said.images:
            message["images"] = [write_drawn(image, dialect) for image in said.images]
        return message

    def _reasoning(self, thoughts: Sequence[ReasoningPart]) -> dict[str, Any]:
        readable = "\n".join(part.text for part in thoughts if part.kind in {"text", "summary"})
        found: dict[str, Any] = dict.fromkeys(self.dialect.reasoning, readable) if readable else {}
        if self.dialect.details:
            found["reasoning_details"] = write_details(thoughts)
        return found

    def _call_id(self, call: ToolCall) -> str:
        return call.id or spelled(self.dialect.call_id, self.ids)

    def _finish(self, choice: Choice) -> str:
        calls = any(content.type == "tool_call" for content in choice.contents)
        if calls and self._functions:
            return "function_call"
        reason, raw = choice.finish_reason, choice.raw_finish_reason
        if raw and reason is not None:
            meant = FINISH.get(raw) or FinishReason(raw)
            if meant == reason or (calls and meant == FinishReason.STOP):
                return raw
        return (FinishReason.TOOL_CALLS if calls else FinishReason.STOP) if reason is None else reason.value

    def _more(self, choice: Choice) -> dict[str, Any]:
        more = dict(self.dialect.choice_more)
        if choice.finish_reason == FinishReason.CONTENT_FILTER and "content_filter_results" in more:
            found = {"violence": {"filtered": True, "severity": "medium"}}
            more["content_filter_results"] = {**more["content_filter_results"], **found}
        return more

    # ------------------------------------------------------------------------------------ stream

    def frames(self, options: dict[str, Any]) -> Iterator[bytes]:
        """Yield the frames of a stream."""
        dialect = self.dialect
        if dialect.comment:
            yield f": {dialect.comment}\n\n".encode()
        if dialect.prologue is not None:
            yield _data({**dialect.prologue, "choices": []})
        padded = dialect.padding and options.get("include_obfuscation") is not False
        for place, body in enumerate(self._bodies(options), 1):
            yield _data({**body, **({"obfuscation": self.ids.new("", place * 7 % 13 + 1)} if padded else {})})
        if dialect.done:
            yield b"data: [DONE]\n\n"

    def _bodies(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what the frames say: the answers in turns, and usage where this provider tells it."""
        dialect = self.dialect
        answers = [list(self._deltas(choice)) for choice in self._response.choices]
        entries = [entry for turn in zip_longest(*answers) for entry in turn if entry is not None]
        bodies = [self._frame([entry]) for entry in entries]
        usage = write_usage(self._response.usage, dialect)
        asked = options.get("include_usage") is True
        last = bodies[-1]
        for place, body in enumerate(bodies, 1):
            if dialect.usage == "each":
                body["usage"] = grown(usage, place, len(bodies))
            elif dialect.usage == "last" and body is last:
                body["usage"] = usage
            elif dialect.null_usage and (asked or dialect.usage != "asked"):
                body["usage"] = None
            if self._citations and (body is last or dialect.usage == "each"):
                body["citations"] = self._citations
        if dialect.x_groq:
            request_id = spelled("req_{a26}", self.ids)
            bodies[0]["x_groq"] = {"id": request_id}
            last["x_groq"] = {"id": request_id, "usage": usage}
        if dialect.usage == "alone" or (asked and (dialect.usage == "asked" or dialect.x_groq)):
            bodies.append({**self._frame([]), "usage": usage})
        return bodies

    def _frame(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head = {**self._head, "object": "chat.completion.chunk"}
        return {**head, "choices": choices, **self._tail, **self.dialect.frame_more}

    def _deltas(self, choice: Choice) -> Iterator[dict[str, Any]]:
        """Yield what the frames of one answer say, the last with its finish reason."""
        said, dialect = Said.of(choice.contents), self.dialect
        probable = choice.logprobs
        first: dict[str, Any] = {"role": "assistant", "content": None if said.text is None else ""}
        if dialect.refusals:
            first["refusal"] = None
        calls = list(self._call_deltas(said.calls))
        if len(said.calls) == 1 and said.only_calls and not dialect.whole_calls:
            first |= calls.pop(0)
        before = [first, *self._thought_deltas(said.thoughts), *({"content": [part]} for part in said.parts)]
        for delta in before:
            yield self._entry(choice, delta)
        for piece, tokens in cut_text(said.text or "", probable.content if probable else [], self._cut):
            yield self._entry(choice, {"content": piece}, LogProbs(content=tokens) if tokens else None)
            probable = None if tokens else probable
        after = [*({"refusal": piece} for piece in self._cut.text(said.refusal or "")), *calls]
        after += [{"audio": piece} for piece in sound_deltas(said.sound, self._head["created"], self._cut)]
        after += [{"images": [write_drawn(image, dialect)]} for image in said.images]
        after += [{"annotations": self._annotations}] if self._annotations and choice.index == 0 else []
        for delta in after:
            yield self._entry(choice, delta)
        yield self._entry(choice, {}, probable, self._finish(choice))

    def _entry(
        self, choice: Choice, delta: dict[str, Any], told: LogProbs | None = None, finish: str | None = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {"index": choice.index, "delta": delta, "finish_reason": finish}
        if self.dialect.logprobs:
            found["logprobs"] = write_log_probs(told)
        return {**found, **(self._more(choice) if finish else self.dialect.choice_more)}

    def _thought_deltas(self, thoughts: Sequence[ReasoningPart]) -> Iterator[dict[str, Any]]:
        dialect = self.dialect
        for place, part in enumerate(thoughts):
            if part.kind not in {"text", "summary"}:
                if dialect.details:
                    yield {"reasoning_details": [write_detail(part, place)]}
                continue
            # Several pieces in one place are a text with one line for each, as in a plain answer.
            joined = "\n" if place and dialect.reasoning and not dialect.details else ""
            for piece in self._cut.text(joined + part.text):
                delta: dict[str, Any] = dict.fromkeys(dialect.reasoning, piece)
                if dialect.details:
                    detail = write_detail(part.model_copy(update={"text": piece}), place)
                    delta["reasoning_details"] = [without(detail, "signature")]
                elif dialect.contents:
                    delta["content"] = [write_thinking(piece)]
                if delta:
                    yield delta
            if part.signature and dialect.details:
                sealed = part.model_copy(update={"text": ""})
                yield {"reasoning_details": [write_detail(sealed, place)]}

    def _call_deltas(self, calls: Sequence[ToolCall]) -> Iterator[dict[str, Any]]:
        for place, call in enumerate(calls):
            whole = write_call(call, self._call_id(call))
            key, inner = ("custom", "input") if whole["type"] == "custom" else ("function", "arguments")
            if self._functions:
                yield {"function_call": whole[key]}
            elif self.dialect.whole_calls:
                yield {"tool_calls": [{"index": place, **whole}]}
            else:
                written = whole[key][inner]
                yield {"tool_calls": [{"index": place, **whole, key: {**whole[key], inner: ""}}]}
                for piece in self._cut.arguments(written):
                    yield {"tool_calls": [{"index": place, key: {inner: piece}}]}


def _data(body: dict[str, Any]) -> bytes:
    return b"data: " + compact(body) + b"\n\n"
