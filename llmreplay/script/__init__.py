"""Turns by hand: what the model is going to say, whatever SDK asks, and what goes wrong.

    say, call, turn, respond    what the model says and calls, in one turn or several contents of one
    fail, cut, spoil            an error of the provider, a stream that breaks, a body that is no answer
    Script                      turns in order, one for each call, and what was asked

A script is rendered by the codec of the wire that the request speaks: any SDK reads it.
"""

from __future__ import annotations

from llmreplay.script._faults import Cut, Fail, Spoil, Step, cut, fail, spoil
from llmreplay.script._script import Queue, Script
from llmreplay.script._turns import Respond, Turn, call, respond, say, turn

__all__ = [
    "Cut",
    "Fail",
    "Queue",
    "Respond",
    "Script",
    "Spoil",
    "Step",
    "Turn",
    "call",
    "cut",
    "fail",
    "respond",
    "say",
    "spoil",
    "turn",
]
