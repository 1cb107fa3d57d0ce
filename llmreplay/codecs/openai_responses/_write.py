"""Writing an answer of the Responses wire, as a body or as the events of a stream.

Rules:

* The `response` object echoes what the request asked for, with the defaults of the API.
* Items have their ids from the start, the same in every event and in the object at the end; only
  encrypted content changes between `output_item.added` and `output_item.done`, as it does at OpenAI.
* Texts and refusals that follow each other are one message, unless one says another id.
* `response.completed`, or `response.incomplete`, is the last event; it alone knows the usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.codecs._encoding import (
    CREATED,
    HEXADECIMAL,
    Ids,
    json_response,
    stream_response,
)
from llmreplay.codecs._json import listed, mapping
from llmreplay.codecs._usage import normalise
from llmreplay.codecs.openai_chat._dialects import dialect_of
from llmreplay.codecs.openai_chat._write import request_headers
from llmreplay.codecs.openai_responses._items import write_call, write_reasoning
from llmreplay.codecs.openai_responses._stream import FINISH
from llmreplay.codecs.openai_responses._write_stream import events, frame
from llmreplay.completion import FinishReason, ProviderContent, Reasoning, Refusal, Text, ToolCall

if TYPE_CHECKING:
    from llmreplay.codecs._encoding import Cut
    from llmreplay.completion import CompletionResponse, LogProbs, Usage
    from llmreplay.exchange import Request, Response

__all__ = ["response_object", "write_response"]

_ID_LENGTH = 48
_CALL_LENGTH = 24

_UNNAMED = frozenset({"openrouter"})
"""Who names no events, opens with empty comments and ends with `[DONE]` (recorded)."""

_COMMENTS = b": \n\n: \n\n"
_DONE = b"data: [DONE]\n\n"


def write_response(response: CompletionResponse, request: Request, turn: int, cut: Cut) -> Response:
    """Return the answer as the request wants it; raise ValueError if the wire cannot say it."""
    if response.others:
        raise ValueError("the Responses wire gives one answer, not several")
    asked, ids, dialect = mapping(request.json), Ids(request, turn), dialect_of(request)
    whole = _whole(response, asked, ids)
    headers = request_headers(dialect, ids, response.request_id)
    if asked.get("stream") is not True:
        return json_response(whole, headers=headers, content_type=dialect.json_type)
    padded = dialect.padding and mapping(asked.get("stream_options")).get("include_obfuscation") is not False
    named = dialect.name not in _UNNAMED
    frames = [frame(event, named=named) for event in events(whole, cut, ids if padded else None)]
    if not named:
        frames = [_COMMENTS + frames[0], *frames[1:], _DONE]
    return stream_response(frames, headers, dialect.stream_type)


def _whole(response: CompletionResponse, asked: dict[str, Any], ids: Ids) -> dict[str, Any]:
    known = response.raw_finish_reason
    reason = response.finish_reason or FinishReason.STOP
    if reason in {FinishReason.STOP, FinishReason.TOOL_CALLS}:
        why = None
    elif known is not None and FINISH.get(known) == reason:
        why = known
    else:
        why = next((word for word, meaning in FINISH.items() if meaning == reason), str(reason))
    created = CREATED if response.created is None else response.created
    return {
        **response_object(asked, response.response_id or ids.new("resp_", _ID_LENGTH, HEXADECIMAL), created),
        **({"model": response.model} if response.model else {}),
        **({"service_tier": response.service_tier} if response.service_tier else {}),
        "status": "incomplete" if why else "completed",
        "completed_at": None if why else created,
        "incomplete_details": {"reason": why} if why else None,
        "output": _items(response, "incomplete" if why else "completed", ids),
        "usage": _usage(response.usage),
    }


def response_object(asked: dict[str, Any], id_: str, created: int) -> dict[str, Any]:
    """Return a `response` object that has just been created, without an output."""
    text, reasoning = mapping(asked.get("text")), mapping(asked.get("reasoning"))
    tier = asked.get("service_tier")
    defaults: dict[str, Any] = {
        "id": id_,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": {},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }
    own = {"id", "object", "status", "output", "usage", "error", "created_at"}
    echoed = {key: asked[key] for key in defaults if key not in own and asked.get(key) is not None}
    return {
        **defaults,
        **echoed,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
        "service_tier": tier if isinstance(tier, str) and tier != "auto" else "default",
    }


def _items(response: CompletionResponse, status: str, ids: Ids) -> list[dict[str, Any]]:
    """Return the output: one item a content, but a message for what is spoken together."""
    items: list[dict[str, Any]] = []
    message: dict[str, Any] | None = None
    for content in response.choice:
        if not isinstance(content, (Text, Refusal)):
            message = None
            items.append(_item(content, ids))
            continue
        own = content.extra if isinstance(content, Text) else {}
        if message is None or own.get("id", message["id"]) != message["id"]:
            first = not any(item["type"] == "message" for item in items)
            given = own.get("id") or (response.message_id if first else None)
            told = {key: value for key, value in own.items() if key not in {"id", "annotations"}}
            message = {
                "id": given or ids.new("msg_", _ID_LENGTH, HEXADECIMAL),
                "type": "message",
                "status": "completed",
                "content": [],
                "role": "assistant",
                **told,
            }
            items.append(message)
        message["content"].append(_part(content))
    if items and status != "completed" and "status" in items[-1]:
        items[-1] = {**items[-1], "status": status}
    texts = [
        part for item in items if item["type"] == "message" for part in item["content"] if "text" in part
    ]
    if texts and response.logprobs:
        texts[0]["logprobs"] = _tokens(response.logprobs)
    if texts and not any(part["annotations"] for part in texts):
        texts[-1]["annotations"] = list(response.citations)
    return items


def _part(content: Text | Refusal) -> dict[str, Any]:
    if isinstance(content, Refusal):
        return {"type": "refusal", "refusal": content.text}
    annotations = listed(content.extra.get("annotations"))
    return {"type": "output_text", "annotations": annotations, "logprobs": [], "text": content.text}


def _item(content: Any, ids: Ids) -> dict[str, Any]:
    if isinstance(content, Reasoning):
        item = write_reasoning(content)
        return {"id": content.id or ids.new("rs_", _ID_LENGTH, HEXADECIMAL), **item}
    if isinstance(content, ToolCall):
        item = write_call(content)
        prefix = "fc_" if item["type"] == "function_call" else "ctc_"
        item_id = content.call_id or ids.new(prefix, _ID_LENGTH, HEXADECIMAL)
        call_id = content.id or ids.new("call_", _CALL_LENGTH)
        return {"id": item_id, "type": item["type"], "status": "completed", **item, "call_id": call_id}
    if isinstance(content, ProviderContent) and isinstance(content.raw, dict):
        return {"type": content.kind, **content.raw}
    raise ValueError(f"the Responses wire has no {content.type} of the model")


def _tokens(logprobs: LogProbs) -> list[dict[str, Any]]:
    return [
        {
            "token": token.token,
            "bytes": token.bytes,
            "logprob": token.logprob,
            "top_logprobs": [
                top.model_dump(include={"token", "bytes", "logprob"}) for top in token.top_logprobs
            ],
        }
        for token in logprobs.content
    ]


def _usage(usage: Usage) -> dict[str, Any]:
    if "input_tokens_details" in usage.details and normalise("openai_responses", usage.details) == usage:
        return usage.details
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cache_write_tokens": usage.cache_creation_input_tokens,
            "cached_tokens": usage.cached_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
