"""What a model is to know beforehand, as the one message that all providers can read.

Rules:

* It stands before the first message that is not of the system.
* A document that is a text becomes one, as `<file id: NAME>`, unless the wire has a place for it; any other
  stays a document, for the codec to spell or refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmreplay.completion import Document, Message, Text

if TYPE_CHECKING:
    from llmreplay.completion import CompletionRequest

__all__ = ["as_text", "with_documents"]

_SYSTEM = frozenset({"system", "developer"})


def with_documents(request: CompletionRequest, *, texts: bool = True) -> list[Message]:
    """Return the messages of a request, with that of its documents.

    `texts` makes texts of those that are; a wire with a place for them does without.
    """
    if not request.documents:
        return request.messages
    messages = request.messages
    first = next(
        (place for place, message in enumerate(messages) if message.role not in _SYSTEM), len(messages)
    )
    contents = [_spelled(document) if texts else document for document in request.documents]
    return [*messages[:first], Message.user(*contents), *messages[first:]]


def _spelled(document: Document) -> Document | Text:
    if document.source != "text":
        return document
    return Text(text=as_text(document), extra=document.extra)


def as_text(document: Document) -> str:
    """Return what is said of a document that is a text."""
    named = "" if document.name is None else f" id: {document.name}"
    return f"<file{named}>\n{document.data}\n</file>\n"
