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

import re
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
from vcr.persisters.filesystem import CassetteNotFoundError, FilesystemPersister  # type: ignore[import-untyped]
from vcr.record_mode import RecordMode  # type: ignore[import-untyped]
from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]
from vcr.serialize import deserialize, serialize  # type: ignore[import-untyped]
from vcr.util import compose  # type: ignore[import-untyped]

from llmreplay.cassette import _store
from llmreplay.cassette._foreign import Trouble
from llmreplay.cassette._vcr_interactions import (
    Answer,
    answer_of,
    exchange_of,
    request_of,
    without_secrets,
)
from llmreplay.errors import CassetteError, SecretInCassette, render
from llmreplay.exchange import Request
from llmreplay.framing.coding import decode
from llmreplay.matching import Ignore, explain
from llmreplay.redaction import PLACEHOLDERS, Redaction, is_credential

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import vcr

    from llmreplay.exchange import Exchange

__all__ = ["Files", "NotOnTape", "VcrTape", "load_tape"]

_NUMBER = re.compile(r"redacted-(\d+)")
_ANY_PLACEHOLDER = "[redacted]"
# What a request carries on its way through hooks and copies: where it comes from.
_SENT = "_llmreplay_sent"
_FROM_FILE = "file"

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
        options["persister"] = _Guarded(options.get("persister") or FilesystemPersister, self)
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
            setattr(sent, _SENT, (sent.uri, sent.body, dict(sent.headers)))
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
        hidden = request
        if self._neutral:
            hidden = _in_neutral(self.hidden(request, (sent.uri, sent.body, dict(sent.headers))))
            plain = (at for at in places if at not in self._neutral)
            places = sorted(
                {*plain, *(at for at in self._places.get(self._key(hidden), ()) if at in self._neutral)}
            )
        for at in places:
            if self._others:
                live, stored = request, self.data[at][0]
                if at in self._neutral:
                    live, stored = hidden, self._neutral[at]
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
            if _has_placeholders(request):
                request = self._neutral[at] = _in_neutral(request)
            self._places.setdefault(self._key(request), []).append(at)
        self._indexed = len(self.data)

    def _key(self, request: VcrRequest) -> tuple[Any, ...]:
        return tuple(look(request) for look in self._keyed)

    # What reaches the disk

    @cached_property
    def redaction(self) -> Redaction:
        """The rules for what is saved, which know the environment as it is when first asked for."""
        numbers = [0]
        for request, _ in self.data:
            if _has_placeholders(request):
                numbers += map(int, _NUMBER.findall(repr((request.uri, request.body, request.headers))))
        return Redaction(first=max(numbers) + 1)

    @cached_property
    def by_looks(self) -> Redaction:
        """The rules for what a user's filters, or a file, have already decided about."""
        return self.redaction.by_looks()

    def presentable(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be saved, without secrets and without what extra cassettes gave."""
        saved = [
            (self.hidden(request, getattr(request, _SENT, None)), without_secrets(answer, self.by_looks))
            for request, answer in zip(content["requests"], content["responses"], strict=True)
            if not getattr(answer, "extra", False)
        ]
        return {
            **content,
            "requests": [request for request, _ in saved],
            "responses": [answer.spelled() for _, answer in saved],
        }

    def hidden(self, request: VcrRequest, sent: Any) -> VcrRequest:
        """Return a request without its secrets.

        Args:
            request: the request after the user's filters.
            sent: its address, body and headers before them; `"file"` for one that was read from a file;
                None if that is not known.
        """
        if sent == _FROM_FILE:
            untouched = dict.fromkeys(("uri", "body"), False)
            own: dict[str, Any] | None = {}
        elif sent is None:
            untouched, own = dict.fromkeys(("uri", "body"), True), None
        else:
            untouched = {"uri": request.uri == sent[0], "body": request.body == sent[1]}
            own = sent[2]
        headers = {
            name: self.redaction.secret(value)
            if isinstance(value, str) and is_credential(name) and (own is None or own.get(name) == value)
            else self.by_looks.text(value)
            if isinstance(value, str)
            else value
            for name, value in request.headers.items()
        }
        rules = {True: self.redaction, False: self.by_looks}
        uri = rules[untouched["uri"]].request(Request(request.method, request.uri)).url
        body = request.body
        if isinstance(body, bytes | bytearray) and body:
            body = self._hidden_body(bytes(body), headers, rules[untouched["body"]])
        hidden = VcrRequest(request.method, uri, body, headers)
        if request._was_iter or request._was_file:  # noqa: SLF001  how it is spelled in a file
            hidden = VcrRequest(request.method, uri, request.body, headers)
        return hidden

    @staticmethod
    def _hidden_body(body: bytes, headers: dict[str, Any], rules: Redaction) -> bytes:
        about = {name.lower(): name for name in headers}
        coding = headers.get(about.get("content-encoding", ""))
        plain = decode([body], coding) if coding else None
        told = body if plain is None else b"".join(plain)
        kind = headers.get(about.get("content-type", ""), "")
        shown = rules.request(Request("POST", "http://localhost/", (("content-type", str(kind)),), told)).body
        if shown == told:
            return body
        if plain is not None:
            del headers[about["content-encoding"]]
        length = about.get("content-length")
        if length is not None and headers[length] == str(len(body)):
            headers[length] = str(len(shown))
        return shown

    def nearest(self, failed: VcrRequest) -> list[str]:
        """Tell which recorded request is nearest, and where it differs."""
        if not self.data:
            return []
        names = set(self.request_matchers)
        ignore = Ignore(whole_body=not names & {"body", "raw_body"})
        wanted = self._before_record_request(failed)
        sent = (failed.uri, failed.body, dict(failed.headers))
        recorded = [
            (_as_ours(self.hidden(request, _FROM_FILE)), self.play_counts[at] > 0)
            for at, (request, _) in enumerate(self.data)
        ]
        mismatch = explain(_as_ours(self.hidden(wanted, sent)), recorded, ignore)
        # What it does not compare, such as headers, vcrpy's own message tells.
        return mismatch.evidence() if mismatch.nearest and mismatch.nearest.differences else []


class Files:
    """vcrpy's files: one to play and to record, and others that are only played.

    A file that is written is there in full or not at all.
    """

    def __init__(self, extra: Sequence[str | os.PathLike[str]] = ()) -> None:
        self._extra = tuple(extra)

    def load_cassette(self, cassette_path: str | os.PathLike[str], serializer: Any) -> tuple[Any, ...]:
        """Return all requests and responses, and the metadata of the first file."""
        requests: list[VcrRequest] = []
        responses: list[Answer] = []
        metadata: list[Any] = []
        for path in dict.fromkeys((cassette_path, *self._extra)):
            try:
                text = Path(path).read_text(encoding="utf-8")
            except OSError:
                continue
            if not text.strip():
                continue
            asked, told, *more = deserialize(text, serializer)
            requests += asked
            responses += [Answer(one, extra=path != cassette_path) for one in told]
            metadata += more if path == cassette_path else ()
        if not requests:
            raise CassetteNotFoundError(f"no cassette at {cassette_path}")
        return (requests, responses, *metadata)

    @staticmethod
    def save_cassette(
        cassette_path: str | os.PathLike[str], cassette_dict: dict[str, Any], serializer: Any
    ) -> None:
        """Write the first file."""
        text = serialize(cassette_dict, serializer)
        path = Path(cassette_path)
        with _store.locked(path):
            _store.replace(path, text if isinstance(text, bytes) else text.encode())


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


class _Guarded:
    """A persister that is given nothing secret, and whose responses remember what we keep beside them."""

    def __init__(self, persister: Any, tape: VcrTape) -> None:
        self._persister, self._tape = persister, tape

    def load_cassette(self, path: Any, serializer: Any) -> tuple[Any, ...]:
        requests, responses, *more = self._persister.load_cassette(path, serializer=serializer)
        for request in requests:
            setattr(request, _SENT, _FROM_FILE)
        answers = [one if isinstance(one, Answer) else Answer(one) for one in responses]
        return (requests, answers, *more)

    def save_cassette(self, path: Any, cassette_dict: dict[str, Any], serializer: Any) -> None:
        checked = _Checked(serializer, Path(path), self._tape.by_looks)
        self._persister.save_cassette(path, self._tape.presentable(cassette_dict), serializer=checked)


class _Checked:
    """A serializer whose text is searched for secrets once more."""

    def __init__(self, serializer: Any, path: Path, redaction: Redaction) -> None:
        self._serializer, self._path, self._redaction = serializer, path, redaction

    def serialize(self, content: Any) -> Any:
        text = self._serializer.serialize(content)
        found = self._redaction.find(text if isinstance(text, bytes) else text.encode())
        if found:
            places = [f"line {finding.line}: {finding.kind}" for finding in found]
            remedies = ["Take it out before it is recorded: before_record_request, before_record_response."]
            fact = f"{self._path} was not written: something in it looks like a secret."
            raise SecretInCassette(render(fact, places, remedies), path=self._path, places=places)
        return text

    def deserialize(self, text: Any) -> Any:
        return self._serializer.deserialize(text)


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
        sent = getattr(request, _SENT, None)
        told = _run_hooks([hook], request, response, cassette)
        if told is None:
            return None
        asked, answered = told
        if sent == _FROM_FILE and not hasattr(asked, _SENT):
            setattr(asked, _SENT, sent)
        if isinstance(response, Answer) and not isinstance(answered, Answer):
            answered = Answer(answered, response.kept, extra=response.extra)
        return asked, answered

    return kept


def _texts(request: VcrRequest) -> Iterator[str]:
    yield request.uri
    yield from (value for value in request.headers.values() if isinstance(value, str))
    if isinstance(body := request.body, bytes | bytearray) and b"redacted-" in body:
        yield body.decode("utf-8", "surrogateescape")


def _has_placeholders(request: VcrRequest) -> bool:
    return any("redacted-" in text for text in _texts(request))


def _in_neutral(request: VcrRequest) -> VcrRequest:
    """Return a request in which all secrets have one spelling: their numbers are of one run."""
    body = request.body
    if isinstance(body, bytes | bytearray) and b"redacted-" in body:
        text = bytes(body).decode("utf-8", "surrogateescape")
        body = PLACEHOLDERS.sub(_ANY_PLACEHOLDER, text).encode("utf-8", "surrogateescape")
    headers = {
        name: PLACEHOLDERS.sub(_ANY_PLACEHOLDER, value) if isinstance(value, str) else value
        for name, value in request.headers.items()
    }
    return VcrRequest(request.method, PLACEHOLDERS.sub(_ANY_PLACEHOLDER, request.uri), body, headers)


def _as_ours(request: VcrRequest) -> Request:
    body = request.body
    headers = tuple((name, str(value)) for name, value in request.headers.items())
    known = bytes(body) if isinstance(body, bytes | bytearray) else b""
    return Request(request.method, request.uri, headers, known)
