"""A model of your own: an adapter for a wire that llmreplay does not know.

Two methods make it a model: agents, request builders and sync code take it as they take any other.
The wire is invented. `POST /v0/speak` takes `{parrot, tricks, lines: [{who, says}]}` and answers with
`{says, tricks: [{id, name, with}], seeds: {eaten, given}}`; asked to `chatter` it sends a JSON line for
each piece, the last with `seeds`. Errors are `{squawk}`, with a status.
"""

import json

import httpx

from llmreplay import CompletionResponse, FinishReason, ToolCall, Usage
from llmreplay.completion import Final, HttpError, JsonError, ProviderError, Text, TextDelta
from llmreplay.model import Model

KINDS = {401: "authentication", 404: "not_found", 429: "rate_limited", 503: "overloaded"}
WHO = {"system": "keeper", "user": "you", "assistant": "parrot"}


def lines(request):
    for message in request.messages:
        for result in message.tool_results:
            yield {"who": "trick", "id": result.id, "says": result.text}
        if message.role in WHO:
            tricks = [{"id": one.id, "name": one.name, "with": one.arguments} for one in message.tool_calls]
            yield {"who": WHO[message.role], "says": message.text, **({"tricks": tricks} if tricks else {})}


def answer(body):
    tricks = [
        ToolCall(id=one["id"], name=one["name"], arguments=one["with"]) for one in body.get("tricks", ())
    ]
    said = [Text(text=body["says"])] if body["says"] else []
    seeds = body["seeds"]
    return CompletionResponse(
        choice=[*said, *tricks],
        usage=Usage(input_tokens=seeds["eaten"], output_tokens=seeds["given"]),
        finish_reason=FinishReason.TOOL_CALLS if tricks else FinishReason.STOP,
        raw=body,
    )


class ParrotModel(Model):
    def __init__(self, parrot, base_url="https://api.parrot.example", transport=None):
        self.parrot, self.base_url, self.transport = parrot, base_url, transport

    async def completion(self, request):
        *_, last = [event async for event in self._speak(request, chatter=False)]
        return last.response

    async def stream(self, request):
        async for event in self._speak(request, chatter=True):
            yield event

    async def _speak(self, request, *, chatter):
        offered = [{"name": tool.name, "takes": tool.parameters} for tool in request.tools]
        body = {"parrot": self.parrot, "lines": [*lines(request)], "tricks": offered, "chatter": chatter}
        said, seeds, tricks = [], None, []
        try:
            client = httpx.AsyncClient(base_url=self.base_url, transport=self.transport)
            async with client, client.stream("POST", "/v0/speak", json=body) as response:
                if response.is_error:
                    squawk = json.loads(await response.aread())["squawk"]
                    kind = KINDS.get(response.status_code, "server_error")
                    raise ProviderError(squawk, kind=kind, status=response.status_code, provider="parrot")
                async for line in response.aiter_lines():
                    piece = json.loads(line)
                    said, tricks = [*said, piece.get("says", "")], [*tricks, *piece.get("tricks", ())]
                    seeds = piece.get("seeds", seeds)
                    if piece.get("says"):
                        yield TextDelta(text=piece["says"])
        except httpx.TransportError as problem:
            raise HttpError(str(problem), kind="connection", provider="parrot") from problem
        except ValueError as problem:
            raise JsonError(str(problem), provider="parrot") from problem
        if seeds is None:
            raise HttpError("the parrot fell silent", kind="stream_truncated", provider="parrot")
        yield Final(response=answer({"says": "".join(said), "tricks": tricks, "seeds": seeds}))
