"""Scripts behind respx routes, and respx routes for httpx2."""

from __future__ import annotations

import anthropic
import httpx
import httpx2
import openai
import pytest
import respx

from llmreplay import Script, ScriptExhausted, cut, fail, say
from llmreplay.intercept.respx import side_effect

USING = {httpx: "httpcore", httpx2: "llmreplay-httpx2"}
libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
URL = "https://api.openai.com/v1/chat/completions"


@libraries
def test_a_script_answers_behind_a_route(library):
    script = Script(say("scripted"))
    with respx.mock(using=USING[library]) as routes, library.Client() as client:
        route = routes.post(URL, json__model="m").mock(side_effect=side_effect(script))

        answer = client.post(URL, json=BODY)

    assert answer.json()["choices"][0]["message"]["content"] == "scripted"
    assert route.call_count == 1
    assert script.requests[0].prompt == "hi"
    assert script.left == []


@libraries
async def test_a_script_streams_behind_a_route_of_an_async_client(library):
    script = Script(say("one two three", deltas=["one ", "two ", "three"]))
    async with library.AsyncClient() as client:
        with respx.mock(using=USING[library]) as routes:
            routes.post(URL).mock(side_effect=side_effect(script))
            async with client.stream("POST", URL, json={**BODY, "stream": True}) as answer:
                pieces = [piece async for piece in answer.aiter_raw()]

    assert b"".join(pieces) == script.calls[0].response.body
    assert len(pieces) == len(script.calls[0].response.chunks) > 3


@libraries
def test_a_script_that_ran_out_is_a_refusal(library):
    # respx does not count a call whose side effect raises what is no Exception.
    with respx.mock(using=USING[library], assert_all_called=False) as routes, library.Client() as client:
        routes.post(URL).mock(side_effect=side_effect(Script()))

        with pytest.raises(ScriptExhausted):
            client.post(URL, json=BODY)


@libraries
@pytest.mark.parametrize(("kind", "error"), [("timeout", "ReadTimeout"), ("connection", "ConnectError")])
def test_a_failure_has_the_class_of_the_library_in_use(library, kind, error):
    with respx.mock(using=USING[library]) as routes, library.Client() as client:
        routes.post(URL).mock(side_effect=side_effect(Script(fail(kind))))

        with pytest.raises(getattr(library, error)):
            client.post(URL, json=BODY)


@libraries
@pytest.mark.parametrize(("how", "error"), [("reset", "ReadError"), ("eof", "RemoteProtocolError")])
async def test_a_stream_that_breaks_has_the_class_of_the_library_in_use(library, how, error):
    script = Script(cut("one two three", after=2, how=how))
    async with library.AsyncClient() as client:
        with respx.mock(using=USING[library]) as routes:
            routes.post(URL).mock(side_effect=side_effect(script))
            seen = []
            with pytest.raises(getattr(library, error)):
                async with client.stream("POST", URL, json={**BODY, "stream": True}) as answer:
                    async for piece in answer.aiter_raw():
                        seen.append(piece)  # noqa: PERF401  what came before the break counts

    assert len(seen) == 2


def test_routes_of_respx_serve_sdks_on_httpx2():
    with respx.mock(using="llmreplay-httpx2") as routes:
        routes.post(URL).mock(side_effect=side_effect(Script(say("scripted"))))
        routes.post("https://api.anthropic.com/v1/messages").mock(side_effect=httpx.ReadTimeout("slow"))

        asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        said = openai.OpenAI(api_key="k").chat.completions.create(**asked)
        assert said.choices[0].message.content == "scripted"
        with pytest.raises(anthropic.APITimeoutError):
            anthropic.Anthropic(api_key="k", max_retries=0).messages.create(max_tokens=9, **asked)
