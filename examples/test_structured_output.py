"""An invoice as a pydantic model, and all that can come in its place.

A model that may not answer refuses, one that has too few tokens breaks off in the middle of the JSON,
and a server that does not hold itself to the schema sends something else.
"""

import pytest
from openai import LengthFinishReasonError, OpenAI
from pydantic import BaseModel, ValidationError

from llmreplay import say


class Line(BaseModel):
    what: str
    cents: int


class Invoice(BaseModel):
    number: str
    lines: list[Line]

    @property
    def total(self):
        return sum(line.cents for line in self.lines)


class Unreadable(Exception):
    """The letter could not be read as an invoice."""


def read_invoice(letter):
    try:
        reply = OpenAI().chat.completions.parse(
            model="gpt-5",
            messages=[{"role": "user", "content": f"Read this invoice:\n{letter}"}],
            response_format=Invoice,
        )
    except LengthFinishReasonError as error:
        raise Unreadable("too long") from error
    except ValidationError as error:
        raise Unreadable("not an invoice") from error
    message = reply.choices[0].message
    if message.refusal:
        raise Unreadable(message.refusal)
    return message.parsed


WRITTEN = '{"number": "7", "lines": [{"what": "Tea", "cents": 250}, {"what": "Cake", "cents": 400}]}'


def test_the_answer_becomes_an_invoice(llm_script):
    llm_script.turns(say(WRITTEN))

    invoice = read_invoice("Invoice 7: tea 2.50, cake 4.00")

    assert invoice == Invoice(number="7", lines=[Line(what="Tea", cents=250), Line(what="Cake", cents=400)])
    assert invoice.total == 650


def test_the_model_is_given_the_schema(llm_script):
    llm_script.turns(say(WRITTEN))

    read_invoice("Invoice 7: tea 2.50, cake 4.00")

    asked = llm_script.calls[0].request.json["response_format"]["json_schema"]
    assert (asked["name"], asked["strict"]) == ("Invoice", True)
    assert asked["schema"]["required"] == ["number", "lines"]


def test_a_refusal_is_told(llm_script):
    llm_script.turns(say(refusal="I cannot read private letters."))

    with pytest.raises(Unreadable, match="private letters"):
        read_invoice("Dear Ann, …")


def test_json_that_breaks_off_is_no_invoice(llm_script):
    llm_script.turns(say(WRITTEN[:40], finish_reason="length"))

    with pytest.raises(Unreadable, match="too long"):
        read_invoice("Invoice 7: …")


@pytest.mark.parametrize("answer", ["Here is your invoice:", '{"number": "7"}', "null"])
def test_an_answer_that_is_not_what_the_schema_says_is_no_invoice(llm_script, answer):
    llm_script.turns(say(answer))

    with pytest.raises(Unreadable, match="not an invoice"):
        read_invoice("Invoice 7: …")
