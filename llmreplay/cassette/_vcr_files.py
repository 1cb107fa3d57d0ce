"""vcrpy's files, and what guards them: nothing secret is written, nothing that we keep is lost.

Rules:

* Whatever persister and serializer a user registers, they are given what may be saved, and what they
  spell is searched once more.
* A file of ours is written in full or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vcr.persisters.filesystem import CassetteNotFoundError  # type: ignore[import-untyped]  # vcrpy has no types
from vcr.serialize import deserialize, serialize  # type: ignore[import-untyped]

from llmreplay.cassette import _store
from llmreplay.cassette._vcr_interactions import Answer
from llmreplay.cassette._vcr_secrets import FROM_FILE, SENT
from llmreplay.errors import SecretInCassette, render

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from vcr.request import Request as VcrRequest  # type: ignore[import-untyped]

    from llmreplay.redaction import Redaction

__all__ = ["Files", "Guarded"]


class Saved(Protocol):
    """What knows which part of its content may be saved."""

    @property
    def by_looks(self) -> Redaction:
        """The rules by which a text is searched before it is written."""
        ...

    def presentable(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be saved."""
        ...


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


class Guarded:
    """A persister that is given nothing secret, and whose responses remember what we keep beside them."""

    def __init__(self, persister: Any, tape: Saved) -> None:
        self._persister, self._tape = persister, tape

    def load_cassette(self, path: Any, serializer: Any) -> tuple[Any, ...]:
        """Return what the persister loads, with what we keep beside it."""
        requests, responses, *more = self._persister.load_cassette(path, serializer=serializer)
        for request in requests:
            setattr(request, SENT, FROM_FILE)
        answers = [one if isinstance(one, Answer) else Answer(one) for one in responses]
        return (requests, answers, *more)

    def save_cassette(self, path: Any, cassette_dict: dict[str, Any], serializer: Any) -> None:
        """Have the persister save what may be saved."""
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
