"""A model that says what it was told to: a script, without a wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmreplay.cassette import Cassette
from llmreplay.model._messages import refuse_empty
from llmreplay.model._session import SessionModel
from llmreplay.redaction import Redaction
from llmreplay.script import Script
from llmreplay.session import Session, Split, Unused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmreplay.completion import CompletionRequest
    from llmreplay.exchange import Request
    from llmreplay.script import Step

__all__ = ["ScriptedModel"]


class ScriptedModel(SessionModel):
    """A model that gives one turn a call, in order, and keeps what it was asked.

        model = ScriptedModel(call("get_weather", city="Paris"), say("Sunny."))
        assert agent(model, "How is Paris?") == "Sunny."
        assert model.requests[1].tool_results[0].text == "20 °C"

    A call for which no turn is left is refused (`ScriptExhausted`). Turns, queues and faults are those of
    a `Script`, which may also be given as it is; errors come as a `CompletionError`.

    Args:
        turns: what the model says; see `say`, `call`, `turn`, `fail`, `cut`, `spoil` and `respond`.
        strict: refuse turns that no model could give, and conversations that no provider takes;
            `strict_except` names rules to leave out.
        speed: 0 answers without waiting, 1 with the latency and pace that the turns tell.
        split: cuts streams anew; see `use_script`.
        unused: what turns that nobody asked for do at the end of a block: `fail`, `warn` or `ignore`.
    """

    def __init__(
        self,
        *turns: Step | Script,
        strict: bool = True,
        strict_except: Iterable[str] = (),
        speed: float = 0.0,
        split: Split | Sequence[int] = None,
        unused: Unused = "fail",
    ) -> None:
        first: Any = turns[0] if len(turns) == 1 else None
        steps: Any = turns
        self.script = (
            first if isinstance(first, Script) else Script(*steps, strict=strict, strict_except=strict_except)
        )
        # The same method, with the same conditions.
        self.when = self.script.when
        redaction = Redaction(environ={})
        super().__init__(
            Session(
                Cassette(), script=self.script, redaction=redaction, speed=speed, split=split, unused=unused
            )
        )

    @property
    def requests(self) -> list[CompletionRequest]:
        """What the model was asked, call by call."""
        return self.script.requests

    def turns(self, *turns: Step) -> ScriptedModel:
        """Add turns at the end."""
        self.script.turns(*turns)
        return self

    def transcript(self) -> str:
        """Return the conversations so far, for a person to read."""
        return self.script.transcript()

    def _wire(self, request: CompletionRequest) -> Request:
        # What a provider would not be sent is not taken here either.
        refuse_empty(request.messages)
        return super()._wire(request)
