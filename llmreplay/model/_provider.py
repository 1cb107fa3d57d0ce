"""A provider as a model: the requests of its codec over httpx, the answers through its decoder.

Rules:

* Bytes are read as they come, and told at once; a failure is noted as a recording would note it, and
  decoded by the same functions, so that live, recorded and scripted calls fail alike.
* A model may be shared by threads, tasks and event loops: there is one sync client, and one async
  client for each loop, since connections belong to the loop that opened them.
* Nothing is retried unless `retries` says so, and a stream never once something of it was told.
* An answer that the provider puts off (xAI's `deferred`) is fetched; a stream cannot be put off.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from contextlib import aclosing, closing
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from llmreplay import codecs
from llmreplay.errors import OptionError
from llmreplay.model._asking import written
from llmreplay.model._protocol import CompletionStream, Model
from llmreplay.model._providers import provider_named
from llmreplay.model._retries import Attempts, Deferral, checked_retries
from llmreplay.model._sync import on_loop_end
from llmreplay.model._taking import Taking, built

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
    from types import TracebackType

    import httpx

    from llmreplay.completion import CompletionRequest, CompletionResponse, StreamEvent
    from llmreplay.exchange import Request

__all__ = ["ProviderModel"]

_TIMEOUT = 600.0


class ProviderModel(Model):
    """A provider behind HTTP.

        model = ProviderModel.from_env("openai/gpt-5.5")
        response = await model.completion_request("Hello").send()

    Under `use_cassette` and `use_script` it is recorded and answered as any client is, and needs no key.
    `aclose` (or `async with`, `with`) lets its connections go; it may be used again after that.

    Args:
        provider: one of `PROVIDERS`: `openai`, `anthropic`, `gemini`, `vllm` …
        model: the model that is asked unless a request names one.
        base_url: where the provider lives, if not where everybody knows.
        api_key: its key; left out, that of the environment.
        timeout: seconds to wait for a connection, for a piece of the answer, and to send; None waits.
        retries: how often an error that may pass is tried again.
        headers: further headers; one that is given takes the place of ours.
    """

    def __init__(  # noqa: PLR0913  options, each by name
        self,
        provider: str,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | None = _TIMEOUT,
        retries: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._provider = provider_named(provider)
        self.provider, self.model = provider, model
        self._base_url, self._key = base_url, api_key
        if timeout is not None and not timeout > 0:
            raise OptionError("timeout", timeout, "seconds, or None")
        self._timeout, self._retries = timeout, checked_retries(retries)
        self._headers = dict(headers or {})
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None
        self._clients: weakref.WeakKeyDictionary[Any, httpx.AsyncClient] = weakref.WeakKeyDictionary()

    @classmethod
    def from_env(  # noqa: PLR0913  options, each by name
        cls,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float | None = _TIMEOUT,
        retries: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a model by the name of its provider and its own: `"openai/gpt-5.5"`.

        The key, and for some providers the address, are taken from the environment when they are needed.
        Options are those of the class.
        """
        provider, slash, model = name.partition("/")
        if not slash or not model:
            raise OptionError("from_env", name, "PROVIDER/MODEL, such as 'openai/gpt-5.5'")
        options: dict[str, Any] = {"base_url": base_url, "api_key": api_key, "headers": headers}
        return cls(provider, model, timeout=timeout, retries=retries, **options)

    def __repr__(self) -> str:
        return f"<ProviderModel {self.provider}/{self.model or '(as asked)'}>"

    async def completion(self, request: CompletionRequest) -> CompletionResponse:
        """Return the answer; raise `CompletionError` if there is none."""
        asked = self._asked(request, stream=False)
        deferral, answer = Deferral(asked), await self._taken_async(asked)
        while (again := deferral.again(answer)) is not None:
            await deferral.wait_async()
            answer = await self._taken_async(again)
        return answer

    async def _taken_async(self, asked: Request) -> CompletionResponse:
        attempts = Attempts(self._retries)
        while True:
            taking = Taking(self._codec, asked)
            async with aclosing(self._chunks_async(taking)) as chunks:
                async for _ in chunks:
                    pass
            answer = taking.answer()
            if not isinstance(answer, Exception):
                return answer
            await attempts.wait_async(answer)

    def completion_sync(self, request: CompletionRequest) -> CompletionResponse:
        """Return the answer, from code that is not async; raise `CompletionError` if there is none."""
        asked = self._asked(request, stream=False)
        deferral, answer = Deferral(asked), self._taken(asked)
        while (again := deferral.again(answer)) is not None:
            deferral.wait()
            answer = self._taken(again)
        return answer

    def _taken(self, asked: Request) -> CompletionResponse:
        attempts = Attempts(self._retries)
        while True:
            taking = Taking(self._codec, asked)
            for _ in self._chunks(taking):
                pass
            answer = taking.answer()
            if not isinstance(answer, Exception):
                return answer
            attempts.wait(answer)

    def stream(self, request: CompletionRequest) -> CompletionStream:
        """Return what is told while the model answers, as it comes."""
        return CompletionStream(self._events(request))

    async def _events(self, request: CompletionRequest) -> AsyncGenerator[StreamEvent, None]:
        asked, attempts = self._asked(request, stream=True), Attempts(self._retries)
        while True:
            taking = Taking(self._codec, asked)
            async with aclosing(self._chunks_async(taking)) as chunks:
                async for data in chunks:
                    for event in taking.told(data, attempts):
                        yield event
            for event in taking.end(attempts):
                yield event
            if taking.error is None:
                return
            if taking.begun:
                raise taking.error
            await attempts.wait_async(taking.error)

    def stream_sync(self, request: CompletionRequest) -> Iterator[StreamEvent]:
        """Return what is told while the model answers, as it comes, for code that is not async."""
        asked, attempts = self._asked(request, stream=True), Attempts(self._retries)
        while True:
            taking = Taking(self._codec, asked)
            with closing(self._chunks(taking)) as chunks:
                for data in chunks:
                    yield from taking.told(data, attempts)
            yield from taking.end(attempts)
            if taking.error is None:
                return
            if taking.begun:
                raise taking.error
            attempts.wait(taking.error)

    # ------------------------------------------------------------------------------------ connections

    def close(self) -> None:
        """Let go of the connections of the sync client."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Let go of the connections of this event loop, and of the sync client."""
        self.close()
        with self._lock:
            client = self._clients.pop(_loop(), None)
        if client is not None:
            await client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _sync_client(self) -> httpx.Client:
        import httpx  # noqa: PLC0415  libraries of others come when they are used

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    timeout=self._timeout, verify=_certificates(), follow_redirects=True
                )
            return self._client

    def _async_client(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415  likewise

        loop = _loop()
        with self._lock:
            client = self._clients.get(loop)
            if client is None:
                client = self._clients[loop] = httpx.AsyncClient(
                    timeout=self._timeout, verify=_certificates(), follow_redirects=True
                )
                on_loop_end(client.aclose)
            return client

    def _chunks(self, taking: Taking) -> Generator[bytes, None, None]:
        import httpx  # noqa: PLC0415  likewise

        client = self._sync_client()
        try:
            response = client.send(built(client, taking.request), stream=True)
            try:
                taking.head(response)
                for data in response.iter_bytes():
                    taking.note(data)
                    yield data
            finally:
                response.close()
        except httpx.HTTPError as error:
            taking.failed(error)

    async def _chunks_async(self, taking: Taking) -> AsyncGenerator[bytes, None]:
        import httpx  # noqa: PLC0415  likewise

        client = self._async_client()
        try:
            response = await client.send(built(client, taking.request), stream=True)
            try:
                taking.head(response)
                async for data in response.aiter_bytes():
                    taking.note(data)
                    yield data
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            taking.failed(error)

    def _asked(self, request: CompletionRequest, *, stream: bool) -> Request:
        return written(
            request,
            self._provider,
            model=self.model,
            base_url=self._base_url,
            key=self._key,
            headers=self._headers,
            stream=stream,
        )

    @property
    def _codec(self) -> Any:
        return codecs.codec_named(self._provider.wire)


@cache
def _certificates() -> ssl.SSLContext:
    """Return what connections are checked by: once, since it takes longer than a replayed call."""
    import httpx  # noqa: PLC0415  likewise

    return httpx.create_ssl_context()


def _loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return sys.modules["trio"].lowlevel.current_trio_token()
