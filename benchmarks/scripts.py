"""A turn of a script through an SDK, against a transport that returns a ready body.

Every request is distinct. The script renders each turn anew, in the wire format of the provider; the peer
returns the same constant each time.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx2
import openai

from benchmarks import samples
from benchmarks.replay import PEER, constant
from benchmarks.rounds import compare, table
from llmreplay import say, use_script

if TYPE_CHECKING:
    import argparse

NAME = "script"

_TEXT = (
    "It is 4 °C with light snow in Bergen, and it stays so until the evening. Take a scarf and a warm coat."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--requests", type=int, default=500, help="turns of the script (default: 500)")
    parser.add_argument("--profile", action="store_true", help="profile our side instead, and print that")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a turn."""
    with use_script(say(_TEXT)) as first, openai.OpenAI(api_key=samples.KEY) as client:
        client.chat.completions.create(**samples.arguments(0))
    ready = httpx2.Client(transport=constant(first.calls))
    peer = openai.OpenAI(api_key=samples.KEY, http_client=ready)
    client = openai.OpenAI(api_key=samples.KEY)

    asked = [samples.arguments(number) for number in range(arguments.requests)]

    def ours(number: int) -> object:
        return client.chat.completions.create(**asked[number])

    def theirs(number: int) -> object:
        return peer.chat.completions.create(**asked[number])

    with use_script(*itertools.repeat(say(_TEXT), arguments.requests)):
        if arguments.profile:
            import cProfile

            with cProfile.Profile() as profile:
                for number in range(arguments.requests):
                    ours(number)
            profile.print_stats("cumtime")
            return {}
        found = compare(ours, theirs, steps=arguments.requests)
    rows = [found.row(f"a turn of a script through the openai {openai.__version__} SDK", PEER, 1.10)]
    if not arguments.json:
        print(table(rows))
    return {"benchmark": NAME, "rows": [row.as_json() for row in rows]}
