"""A tape with vcrpy's manners: its record modes, matchers, filters, hooks and files, over our edges.

    tape = load_tape(vcr.VCR(...), "name.yaml", {...})     # options as those of `use_cassette`

Rules:

* It *is* vcrpy's `Cassette`: what is matched, recorded, ignored and saved is decided by vcrpy's own code
  and by the functions that users register with it. Ours is the way there and back.
* What can be looked up is looked up: matchers of vcrpy that compare one property are answered by an
  index, and only what is left of them, and a user's own, is asked one by one.
* Nothing secret reaches the disk. Of a request, credentials and what is named like a secret are
  replaced, unless a filter of the user's has already put something else there; of a response, what looks
  like a secret. A request that is played is shown as it was sent, so that tests do not notice.
* A failure without a response is not recorded, since vcrpy's form has no word for it.

Importing this module imports vcrpy.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vcr import matchers  # type: ignore[import-untyped]  # vcrpy has no types
from vcr.cassette import Cassette as VcrCassette  # type: ignore[import-untyped]
from vcr.cassette import _run_hooks
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]
from vcr.matchers import requests_match  # type: ignore[import-untyped]
from vcr.patch import PATCHER_NAMES, CassettePatcherBuilder  # type: ignore[import-untyped]
from vcr.persisters.filesystem import FilesystemPersister  # type: ignore[import-untyped]
from vcr.record_mode import RecordMode  # type: ignore[import-untyped]
from vcr.util import compose  # type: ignore[import-untyped]

from llmreplay.cassette._foreign import Trouble
from llmreplay.cassette._vcr_files import Files, Guarded
from llmreplay.cassette._vcr_interactions import (
    Answer,
    answer_of,
    exchange_of,
    request_of,
    without_secrets,
)
from llmreplay.cassette._vcr_secrets import (
    FROM_FILE,
    SENT,
    has_placeholders,
    hidden,
    in_neutral,
    last_number,
)
from llmreplay.errors import CassetteError
from llmreplay.exchange import Request
from llmreplay.matching import Ignore
from llmreplay.matching.explanation import explain
from llmreplay.redaction import Redaction

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import vcr
    from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]

    from llmreplay.exchange import Exchange

__all__ = ["Files", "NotOnTape", "VcrTape", "load_tape"]


_PROPERTIES: dict[Any, Callable[[Any], Any]] = {
    matchers.method: lambda request: request.method,
    matchers.uri: matchers._normalized_uri,  # noqa: SLF001  its own idea of equal
    matchers.scheme: lambda request: request.scheme,
    matchers.host: lambda request: request.host,
    matchers.port: lambda request: request.port,
    matchers.path: lambda request: request.path or "/",
    matchers.query: lambda request: tuple(request.query),
}
# Which of vcrpy's patchers stands where each of our edges does.
_PATCHERS = {
    "httpx": {"httpx"},
    "httpx2": {"httpx2"},
    "aiohttp": {"aiohttp"},
    "tornado": {"tornado"},
    "httplib2": {"httplib2"},
    "botocore": {"boto3"},
    "urllib3": {"urllib3", "requests"},
    "http.client": {"httplib"},
}


class NotOnTape(CannotOverwriteExistingCassetteException):  # type: ignore[misc]  # vcrpy has no types
    """vcrpy's error for a request that nothing recorded answers, with what differs, turn by turn."""

    def __init__(self, *, cassette: VcrTape, failed_request: VcrRequest) -> None:
        super().__init__(cassette=cassette, failed_request=failed_request)
        if nearest := cassette.nearest(failed_request):
            self.args = ("\n".join([str(self), "", *nearest]),)


class VcrTape(VcrCassette):  # type: ignore[misc]  # likewise
    """A cassette of vcrpy's that is asked by a session."""

    def __init__(self, path: str, **options: Any) -> None:
        options["persister"] = Guarded(options.get("persister") or FilesystemPersister, self)
        super().__init__(path, **options)
        for hooks in (self._before_save_interaction, self._after_load_interaction):
            hooks[:] = map(_keeping, hooks)
        self._keyed = [_PROPERTIES[one] for one in self._match_on if one in _PROPERTIES]
        self._others = [one for one in self._match_on if one not in _PROPERTIES]
        self._places: dict[tuple[Any, ...], list[int]] = {}
        self._indexed = 0
        # By place: requests with placeholders in them, in neutral spelling, and what was sent for them.
        self._neutral: dict[int, VcrRequest] = {}
        self._shown: dict[int, VcrRequest] = {}
        self._patches = ExitStack()
        self.refused: list[NotOnTape] = []

    @property
    def requests(self) -> list[VcrRequest]:
        """All requests, those that were played as they were sent."""
        return [self._shown.get(at, request) for at, (request, _) in enumerate(self.data)]

    @property
    def request_matchers(self) -> list[str]:
        """The names of the functions that decide whether requests are equal."""
        return [one.__name__ for one in self._match_on]

    # What a session asks

    def ask(self, request: Request, edge: str) -> Exchange | Callable[[Exchange], None] | None:
        """Return what is played, what is done with what comes, or None for what is ignored.

        Raises `NotOnTape` if nothing recorded answers and nothing may be recorded.
        """
        patchers = _PATCHERS.get(edge, {edge})
        if self.skip_patchers and patchers <= set(self.skip_patchers):
            return None
        sent = request_of(request, edge)
        wanted = self._before_record_request(sent)
        if not wanted:
            return None
        if self.record_mode != RecordMode.ALL and (self.rewound or self.allow_playback_repeats):
            for at in self._equal(wanted, sent):
                if self.play_counts[at] == 0 or self.allow_playback_repeats:
                    return self._played(at, wanted, request)
        if self.write_protected:
            self.refused.append(NotOnTape(cassette=self, failed_request=sent))
            raise self.refused[-1]
        return partial(self._keep, sent, edge)

    def save(self) -> None:
        """Write what was recorded, if anything was, by the rules of the record mode."""
        self._save()

    def patch(self) -> None:
        """Put the user's `custom_patches` in place, as vcrpy does."""
        if self.custom_patches:
            for patcher in CassettePatcherBuilder(_OnlyCustom(self)).build():
                self._patches.enter_context(patcher)

    def unpatch(self) -> None:
        """Take them out again."""
        self._patches.close()

    def _played(self, at: int, wanted: VcrRequest, request: Request) -> Exchange:
        stored, answer = self.data[at]
        if self.play_counts[at] == 0 and at < self._loaded_count:
            self._played_interactions.append((stored, answer))
        self.play_counts[at] += 1
        if at in self._neutral:
            self._shown[at] = wanted
        try:
            return exchange_of(request, answer)
        except Trouble as trouble:
            told = f"exchange {at + 1} of {self._path} cannot be played: {trouble}"
            raise CassetteError(told, path=Path(self._path)) from None

    def _keep(self, sent: VcrRequest, edge: str, exchange: Exchange) -> None:
        if exchange.response is not None:
            setattr(sent, SENT, (sent.uri, sent.body, dict(sent.headers)))
            self.append(sent, answer_of(exchange, edge))

    def append(self, request: VcrRequest, response: Mapping[str, Any]) -> None:
        """Add an exchange, as vcrpy does: through its filters and hooks."""
        there = len(self.data)
        super().append(request, response)
        if len(self.data) > there:
            stored, told = self.data[-1]
            if not isinstance(told, Answer):
                # A hook has built another.
                known = response if isinstance(response, Answer) else Answer({})
                self.data[-1] = (stored, Answer(told, known.kept, extra=known.extra))

    # What vcrpy asks

    def _responses(self, request: VcrRequest) -> Iterator[tuple[int, Any]]:
        for at in self._equal(self._before_record_request(request), request):
            yield at, self.data[at][1]

    def _as_dict(self) -> dict[str, Any]:
        return {"requests": [one for one, _ in self.data], "responses": self.responses}

    def _equal(self, request: VcrRequest, sent: VcrRequest) -> Iterator[int]:
        """Yield the places of all requests that are equal, in order."""
        self._bring_up_to_date()
        places: Iterable[int] = self._places.get(self._key(request), ())
        shown = request
        if self._neutral:
            shown = in_neutral(self._hidden(request, (sent.uri, sent.body, dict(sent.headers))))
            plain = (at for at in places if at not in self._neutral)
            places = sorted(
                {*plain, *(at for at in self._places.get(self._key(shown), ()) if at in self._neutral)}
            )
        for at in places:
            if self._others:
                live, stored = request, self.data[at][0]
                if at in self._neutral:
                    live, stored = shown, self._neutral[at]
                if not requests_match(live, stored, self._others):
                    continue
            yield at

    def _bring_up_to_date(self) -> None:
        if self._indexed > len(self.data):  # a test has taken something out
            self._indexed = 0
            self._places.clear()
            self._neutral.clear()
        for at in range(self._indexed, len(self.data)):
            request = self.data[at][0]
            if has_placeholders(request):
                request = self._neutral[at] = in_neutral(request)
            self._places.setdefault(self._key(request), []).append(at)
        self._indexed = len(self.data)

    def _key(self, request: VcrRequest) -> tuple[Any, ...]:
        return tuple(look(request) for look in self._keyed)

    # What reaches the disk

    @cached_property
    def redaction(self) -> Redaction:
        """The rules for what is saved, which know the environment as it is when first asked for."""
        return Redaction(first=last_number(request for request, _ in self.data) + 1)

    @cached_property
    def by_looks(self) -> Redaction:
        """The rules for what a user's filters, or a file, have already decided about."""
        return self.redaction.by_looks()

    def presentable(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be saved, without secrets and without what extra cassettes gave."""
        saved = [
            (self._hidden(request, getattr(request, SENT, None)), without_secrets(answer, self.by_looks))
            for request, answer in zip(content["requests"], content["responses"], strict=True)
            if not getattr(answer, "extra", False)
        ]
        return {
            **content,
            "requests": [request for request, _ in saved],
            "responses": [answer.spelled() for _, answer in saved],
        }

    def _hidden(self, request: VcrRequest, sent: Any) -> VcrRequest:
        return hidden(request, sent, self.redaction, self.by_looks)

    def nearest(self, failed: VcrRequest) -> list[str]:
        """Tell which recorded request is nearest, and where it differs."""
        if not self.data:
            return []
        names = set(self.request_matchers)
        ignore = Ignore(whole_body=not names & {"body", "raw_body"})
        wanted = self._before_record_request(failed)
        sent = (failed.uri, failed.body, dict(failed.headers))
        recorded = [
            (_as_ours(self._hidden(request, FROM_FILE)), self.play_counts[at] > 0)
            for at, (request, _) in enumerate(self.data)
        ]
        mismatch = explain(_as_ours(self._hidden(wanted, sent)), recorded, ignore)
        # What it does not compare, such as headers, vcrpy's own message tells.
        return mismatch.evidence() if mismatch.nearest and mismatch.nearest.differences else []


def load_tape(
    maker: vcr.VCR, path: str | os.PathLike[str], options: Mapping[str, Any], *, anew: bool = False
) -> VcrTape:
    """Return the tape that a `vcr.VCR` and the options of its `use_cassette` describe.

    Raises what vcrpy raises for an option that means nothing. With `anew` what is in its file goes first.
    """
    merged = maker.get_merged_config(path=path, **options)
    transform = compose(merged.pop("path_transformer", None))
    for name in ("func_path_generator", "record_on_exception"):
        merged.pop(name, None)
    merged["path"] = transform(merged["path"])
    if anew:
        Path(merged["path"]).unlink(missing_ok=True)
    tape: VcrTape = VcrTape.load(**merged)
    return tape


class _OnlyCustom:
    """What vcrpy's builder is to see of a tape, so that it patches no library of its own."""

    skip_patchers = PATCHER_NAMES

    def __init__(self, tape: VcrTape) -> None:
        self._tape = tape

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tape, name)


def _keeping(hook: Callable[..., Any]) -> Callable[[Any, Any, Any], Any]:
    """Return a hook on interactions that does not lose what we keep beside a response."""

    def kept(request: Any, response: Any, cassette: Any) -> Any:
        sent = getattr(request, SENT, None)
        told = _run_hooks([hook], request, response, cassette)
        if told is None:
            return None
        asked, answered = told
        if sent == FROM_FILE and not hasattr(asked, SENT):
            setattr(asked, SENT, sent)
        if isinstance(response, Answer) and not isinstance(answered, Answer):
            answered = Answer(answered, response.kept, extra=response.extra)
        return asked, answered

    return kept


def _as_ours(request: VcrRequest) -> Request:
    body = request.body
    headers = tuple((name, str(value)) for name, value in request.headers.items())
    known = bytes(body) if isinstance(body, bytes | bytearray) else b""
    return Request(request.method, request.uri, headers, known)
