"""Models as values that code can be given: a provider, a script, or a recording.

CompletionModel             what a model is: `completion` and `stream`
Model                       base class with all that follows from these two
CompletionStream            what a stream of ours is
EventStream                 what all streams have in common: pause, resume, cancel, aclose
ScriptedModel               answers from turns written by hand
ReplayModel                 answers as it was recorded
ProviderModel               a real provider, over HTTP; `PROVIDERS` has their names
CompletionRequestBuilder    a request, word by word
run_sync, iterate_sync      async code for callers that are not
"""

from __future__ import annotations

from llmreplay.model._builder import CompletionRequestBuilder
from llmreplay.model._event_stream import EventStream
from llmreplay.model._protocol import CompletionModel, CompletionStream, Model, collected
from llmreplay.model._provider import ProviderModel
from llmreplay.model._providers import PROVIDERS, Provider
from llmreplay.model._replay import ReplayModel
from llmreplay.model._scripted import ScriptedModel
from llmreplay.model._sync import iterate_sync, run_sync

__all__ = [
    "PROVIDERS",
    "CompletionModel",
    "CompletionRequestBuilder",
    "CompletionStream",
    "EventStream",
    "Model",
    "Provider",
    "ProviderModel",
    "ReplayModel",
    "ScriptedModel",
    "collected",
    "iterate_sync",
    "run_sync",
]
