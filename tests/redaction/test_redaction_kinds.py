from __future__ import annotations

import base64
import json
from contextlib import suppress
from itertools import pairwise
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import yaml
from made_up import HEX, JWT, MIXED, NAMES, SHAPED, UPPER, pem

from llmreplay.exchange import Chunk, Exchange, Failure, Provenance, Request, Response
from llmreplay.redaction import PLACEHOLDERS, Redaction, placeholder

JSON = ("content-type", "application/json")
URL = "https://api.example.com/v1/chat"


def rules(**options) -> Redaction:
    return Redaction(**{"environ": {}, **options})


def post(body: bytes | str, *headers: tuple[str, str], url: str = URL) -> Request:
    return Request("POST", url, headers or (JSON,), body.encode() if isinstance(body, str) else body)


def events(*payloads: object) -> bytes:
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)


def stream(body: bytes, *cuts: int, headers: tuple[tuple[str, str], ...] = ()) -> Exchange:
    edges = [0, *cuts, len(body)]
    chunks = tuple(Chunk(body[start:end], number / 10) for number, (start, end) in enumerate(pairwise(edges)))
    return Exchange(post("{}"), Response(200, headers, chunks))


def halves(text: str) -> tuple[str, str, str]:
    third = len(text) // 3
    return text[:third], text[third : 2 * third], text[2 * third :]


def in_a_header(secret):
    return post("{}", ("user-agent", f"agent/1 {secret}"))


def in_the_query(secret):
    return post("{}", url=f"{URL}?q={quote(secret, safe='')}")


def in_the_path(secret):
    return post("{}", url=f"{URL}/{secret}/x")


def in_a_json_value(secret):
    return post(json.dumps({"messages": [{"role": "user", "content": f"my key is {secret}, keep it"}]}))


def after_an_escaped_line_end(secret):
    return post(json.dumps({"content": f"keys:\n{secret}\n"}))


def in_nested_json(secret):
    return post(json.dumps({"arguments": json.dumps({"note": json.dumps({"deep": secret})})}))


def in_a_multipart_form(secret):
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n\r\n\xff\xfe\x00 '
    return post(
        head + secret.encode() + b" \x81\r\n--b--\r\n", ("content-type", "multipart/form-data; boundary=b")
    )


def in_a_form(secret):
    return post(
        f"a=1&text={quote(secret, safe='')}&b=2", ("content-type", "application/x-www-form-urlencoded")
    )


def in_base64(secret):
    return post(json.dumps({"file": base64.b64encode(f"config: {secret} end".encode()).decode()}))


def in_url_safe_base64(secret):
    return post(
        json.dumps({"file": base64.urlsafe_b64encode(f"??>>~~ {secret}".encode()).decode().rstrip("=")})
    )


def in_base64_twice(secret):
    once = base64.b64encode(f"key {secret}.".encode())
    return post(json.dumps({"file": base64.b64encode(b"once more: " + once).decode()}))


def in_a_data_url(secret):
    return post(
        json.dumps({"url": "data:text/plain;base64," + base64.b64encode(f"k={secret}".encode()).decode()})
    )


def in_wrapped_base64(secret):
    text = base64.encodebytes(f"some file with {secret} in it, and more text after that\n".encode() * 2)
    return post(text, ("content-type", "text/plain"))


def in_escaped_json(secret):
    return post(
        '{"content": "'
        + secret.replace("-", "\\u002d").replace("_", "\\u005f").replace(".", "\\u002e")
        + '"}'
    )


PLACES = (
    in_a_header,
    in_the_query,
    in_the_path,
    in_a_json_value,
    after_an_escaped_line_end,
    in_nested_json,
    in_a_multipart_form,
    in_a_form,
    in_base64,
    in_url_safe_base64,
    in_base64_twice,
    in_a_data_url,
    in_wrapped_base64,
    in_escaped_json,
)


def everything_in(request: Request) -> str:
    """All texts of a request, base64 read and percent-encoding undone."""
    texts = [request.url, *(value for _, value in request.headers), request.body.decode("latin-1")]
    for _ in range(3):
        texts += [base64_in(text) for text in texts]
    return "\n".join(texts)


def base64_in(text: str) -> str:
    read = []
    for word in text.replace('"', " ").replace(",", " ").split():
        data = word.replace("-", "+").replace("_", "/")
        try:
            read.append(base64.b64decode(data + "=" * (-len(data) % 4)).decode("latin-1"))
        except ValueError:
            continue
    whole = "".join(text.split())
    with suppress(ValueError):
        read.append(base64.b64decode(whole).decode("latin-1"))
    return " ".join(read)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("kind", SHAPED)
def test_a_secret_is_redacted_wherever_it_stands(kind, place):
    secret = SHAPED[kind]
    redaction = rules()

    stored = redaction.request(place(secret))

    text = everything_in(stored)
    assert secret not in text
    assert quote(secret, safe="") not in text
    assert PLACEHOLDERS.search(text)
    assert redaction.request(stored) == stored
    assert not redaction.find(stored.body)
    assert not redaction.find(stored.url.encode())
    urlsplit(stored.url)


@pytest.mark.parametrize("kind", SHAPED)
def test_a_secret_split_across_network_chunks_is_redacted(kind):
    secret = SHAPED[kind]
    body = events({"choices": [{"index": 0, "delta": {"content": f"use {secret} now"}}]})
    at = body.index(secret.encode())

    stored = rules().exchange(stream(body, at - 3, at + 4, at + 9, len(body) - 5))

    assert stored.response.body == body.replace(secret.encode(), b"[redacted-1]")
    assert [chunk.delay for chunk in stored.response.chunks] == [0, 0.1, 0.2, 0.3, 0.4]
    assert stored.response.chunks[0].data == body[: at - 3]
    assert stored.response.chunks[-1].data == body[-5:]


DELTAS = {
    "openai chat": lambda text: {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": text}}]},
    "openai reasoning": lambda text: {"choices": [{"index": 0, "delta": {"reasoning_content": text}}]},
    "openai arguments": lambda text: {
        "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": text}}]}}]
    },
    "openai responses": lambda text: {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": text,
    },
    "anthropic text": lambda text: {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    },
    "anthropic input": lambda text: {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": text},
    },
    "anthropic thinking": lambda text: {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": text},
    },
    "gemini": lambda text: {
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}]
    },
    "cohere": lambda text: {
        "type": "content-delta",
        "index": 0,
        "delta": {"message": {"content": {"text": text}}},
    },
    "ollama": lambda text: {"model": "m", "message": {"role": "assistant", "content": text}, "done": False},
}


@pytest.mark.parametrize("wire", DELTAS)
@pytest.mark.parametrize("kind", SHAPED)
def test_a_secret_that_the_model_spells_over_events_is_redacted(kind, wire):
    delta = DELTAS[wire]
    first, second, third = halves(SHAPED[kind])
    body = events(delta("Your key: "), delta(" is " + first), delta(second), delta(third + " ok"), delta("."))
    redaction = rules()

    stored = redaction.exchange(stream(body, 17, 30, len(body) // 2))

    expected = events(delta("Your key: "), delta(" is [redacted-1]"), delta(""), delta(" ok"), delta("."))
    assert stored.response.body == expected
    assert len(stored.response.chunks) == 4
    assert redaction.exchange(stored) == stored
    assert not redaction.find(stored.response.body)
    assert redaction.find(body)


@pytest.mark.parametrize("kind", SHAPED)
def test_find_names_the_place_of_each_kind_planted_in_yaml(kind):
    secret = SHAPED[kind]
    text = f"exchange:\n  body: |\n    some prompt\n    with {secret} in it\n"

    (finding,) = rules().find(text.encode())

    assert (finding.line, finding.column) == (4, 10)
    assert secret not in repr(finding)


@pytest.mark.parametrize("kind", SHAPED)
@pytest.mark.parametrize("width", [60, 76, 1000])
def test_find_reads_base64_scalars_however_they_are_wrapped(kind, width):
    encoded = base64.b64encode(
        b"\x00\xff headers " + SHAPED[kind].encode() + b" \xfe and so on and on and on"
    ).decode()
    lines = "".join(f"      {encoded[at : at + width]}\n" for at in range(0, len(encoded), width))

    findings = rules().find(f"body: !!binary |\n{lines}next: 1\n".encode())

    assert [finding.line for finding in findings][:1] >= [2]
    assert "base64" in findings[0].kind


QUOTED = {
    "json": lambda name, value: json.dumps({name: value}),
    "compact json": lambda name, value: json.dumps({name: value}, separators=(",", ":")),
    "json in json": lambda name, value: json.dumps({"arguments": json.dumps({name: value, "a": 1})}),
    "json in json in json": lambda name, value: json.dumps(
        {"a": json.dumps({"b": json.dumps({name: value})})}
    ),
    "python": lambda name, value: json.dumps({"content": f"client({name.replace('-', '_')}='{value}')"}),
    "yaml": lambda name, value: f'a: 1\n{name}: "{value}"\nb: 2\n',
    "yaml, single quotes": lambda name, value: f"a: 1\n{name}: '{value}'\nb: 2\n",
    "list of headers": lambda name, value: json.dumps([{"name": name, "value": value}]),
    "list of values": lambda name, value: json.dumps({name: [value]}),
    "multipart": lambda name, value: (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--b--\r\n'
    ),
}

BARE = {
    "yaml": lambda name, value: f"a: 1\n{name}: {value}\nb: 2\n",
    "yaml block": lambda name, value: f"{name}: |-\n  {value}\nb: 2\n",
    "yaml list": lambda name, value: f"{name}:\n- {value}\nb:\n- 2\n",
    "assignment": lambda name, value: json.dumps({"content": f"export {name}={value} && run"}),
    "header": lambda name, value: json.dumps({"content": f"curl -H '{name}: {value}' https://x"}),
    "xml": lambda name, value: f"<{name}>{value}</{name}>",
    "encoded form": lambda name, value: f"a%3D1%26{name}%3D{value}%26b",
}


@pytest.mark.parametrize("notation", QUOTED)
@pytest.mark.parametrize("name", NAMES)
def test_a_quoted_value_is_known_by_the_name_of_its_field(name, notation):
    value = "correct-horse"
    text = QUOTED[notation](name, value)
    redaction = rules()

    stored = redaction.request(post(text))

    assert stored.body == text.replace(value, "[redacted-1]").encode()
    assert redaction.request(stored) == stored
    assert redaction.find(text.encode())
    assert not redaction.find(stored.body)


@pytest.mark.parametrize("notation", BARE)
@pytest.mark.parametrize("name", NAMES)
def test_a_bare_value_that_looks_random_is_known_by_the_name_of_its_field(name, notation):
    value = "Zx81kQ7vPq3m"
    text = BARE[notation](name, value)
    redaction = rules()

    stored = redaction.request(post(text))

    assert stored.body == text.replace(value, "[redacted-1]").encode()
    assert redaction.request(stored) == stored
    assert redaction.find(text.encode())


def test_the_name_of_a_scheme_may_stay():
    redaction = rules()
    body = json.dumps({"Authorization": "Bearer Zx81kQ7vPq3m", "authorization": "Basic dXNlcjpwdw=="})

    stored = redaction.request(post(body))

    assert stored.json == {"Authorization": "Bearer [redacted-1]", "authorization": "Basic [redacted-2]"}


def test_bearer_tokens_and_basic_credentials_are_found_in_prose():
    basic = base64.b64encode(b"alice:s3cret-pw").decode()
    body = json.dumps(
        {"content": f"send Bearer Zx81kQ7vPq3mNw52 or Basic {basic}; Basic understanding helps"}
    )

    stored = rules().request(post(body))

    assert (
        stored.json["content"] == "send Bearer [redacted-1] or Basic [redacted-2]; Basic understanding helps"
    )


@pytest.mark.parametrize(
    "text", ["Basic abcdefghijklmnopq", "Bearer abc:defghijklmnopqrst1", "Basic abcdefghijklmnopqrst"]
)
def test_what_follows_bearer_or_basic_may_be_no_credential(text):
    assert rules().request(post(text)).body == text.encode()


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"])
@pytest.mark.parametrize("spelling", ["plain", "json", "json in json", "yaml", "cut off"])
def test_private_keys_are_found_however_their_lines_end(label, spelling):
    key = pem(label)
    text = {
        "plain": f"here: {key} end",
        "json": json.dumps({"content": f"here: {key} end"}),
        "json in json": json.dumps({"arguments": json.dumps({"content": f"here: {key} end"})}),
        "yaml": "here: |\n" + "".join(f"    {line}\n" for line in key.splitlines()) + "end",
        "cut off": f"here: {key[:150]}",
    }[spelling]
    redaction = rules()

    stored = redaction.request(post(text)).body.decode()

    assert "MIIE" not in stored
    assert "here: " in stored
    assert "[redacted-1]" in stored
    assert redaction.find(text.encode())[0].kind == "private key"
    assert not redaction.find(stored.encode())


def test_azure_connection_strings_lose_their_key():
    key = base64.b64encode(bytes(range(64))).decode()
    text = f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={key};EndpointSuffix=core.windows.net"

    stored = rules().request(post(text)).body.decode()

    assert stored == text.replace(key, "[redacted-1]")


@pytest.mark.parametrize(
    "parameter",
    [
        "sig",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "X-Goog-Signature",
        "access_token",
        "key",
        "token",
    ],
)
@pytest.mark.parametrize("ampersand", ["&", "\\u0026", "&amp;"])
def test_secret_parameters_of_urls_in_a_body_are_redacted(parameter, ampersand):
    value = "Zx81kQ7vPq3mNw52"
    body = f'{{"url": "https://blob.example.com/a.png?se=2024-01-01{ampersand}{parameter}={value}{ampersand}v=2"}}'

    stored = rules().request(post(body)).body.decode()

    assert stored == body.replace(value, "[redacted-1]")


def test_a_password_in_a_url_in_a_body_leaves_a_url_that_can_be_split():
    body = json.dumps({"dsn": "postgres://app:Tr0ub4dor@db.internal:5432/main"})

    stored = rules().request(post(body)).json["dsn"]

    assert stored == "postgres://app:%5Bredacted-1%5D@db.internal:5432/main"
    assert urlsplit(stored).hostname == "db.internal"
    assert PLACEHOLDERS.search(stored)


VALUE = "s3cret/välue+with&odd <chars>"
PLAIN_VALUE = "plainvalue"


@pytest.mark.parametrize("name", ["X_KEY", "x_token", "MySecret", "DB_PASSWORD", "HTTP_AUTHTOKEN"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda value: value,
        lambda value: json.dumps(value)[1:-1],
        lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
        lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
        lambda value: json.dumps(json.dumps({"v": value})),
        quote,
        lambda value: quote(value, safe=""),
        lambda value: quote(value, safe="").lower() if value.islower() else quote(value, safe=""),
        lambda value: value.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.b64encode(b"x" + value.encode()).decode(),
        lambda value: base64.b64encode(b"xy" + value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(b"xy" + value.encode() + b"!").decode().rstrip("="),
        lambda value: "abc" + base64.b64encode(value.encode()).decode(),
    ],
)
@pytest.mark.parametrize("value", [VALUE, PLAIN_VALUE, "0123456789abcdefghij"])
def test_a_value_of_the_environment_is_known_in_every_spelling(name, spell, value):
    redaction = rules(environ={name: value, "HOME": "/home/someone", "SHORT_KEY": "abc"})
    text = f'"before {spell(value)} after abc /home/someone"'

    stored = redaction.request(post(text))

    assert stored.body.startswith(b'"before ')
    assert stored.body.endswith(b' after abc /home/someone"')
    assert spell(value).encode() not in stored.body
    assert value not in everything_in(stored)
    assert PLACEHOLDERS.search(everything_in(stored)) or b"abc" in stored.body
    assert redaction.request(stored) == stored
    assert redaction.find(text.encode())
    assert not redaction.find(stored.body)


def test_a_key_of_many_lines_in_the_environment_is_found_indented():
    line = MIXED + "xyz="
    redaction = rules(environ={"SIGNING_KEY": f"{line}\n{line[::-1]}\n"})

    findings = redaction.find(f"a:\n    {line}\n    {line[::-1]}\n".encode())

    assert [finding.line for finding in findings] == [2, 3]
    assert findings[0].kind == "value of $SIGNING_KEY"


def test_the_environment_is_that_of_the_process_unless_another_is_given(monkeypatch):
    monkeypatch.setenv("LLMREPLAY_TEST_TOKEN", "only-in-the-environment")

    assert Redaction().find(b"x only-in-the-environment x")
    assert not rules().find(b"x only-in-the-environment x")


def test_the_same_secret_has_the_same_number_everywhere():
    one, other = SHAPED["groq"], SHAPED["hugging face"]
    redaction = rules(first=7)

    first = redaction.request(post(f"{one} {other} {one}"))
    second = redaction.exchange(stream(events({"text": other}, {"refusal": one})))

    assert first.body == b"[redacted-7] [redacted-8] [redacted-7]"
    assert second.response.body == events({"text": "[redacted-8]"}, {"refusal": "[redacted-7]"})
    assert placeholder(8) == "[redacted-8]"


def test_patterns_of_the_user_are_redacted_whole_or_by_their_group():
    redaction = rules(
        patterns=[
            r"acct-\d+",
            r"customer (\w+)",
            r"(ssn): (?P<secret>[\d-]+)",
            lambda text: text.replace("Ada", "[name]"),
        ]
    )
    text = "Ünïcode acct-12 customer Bob and Ada\nÄ ssn: 12-34 Ada acct-12 x*"

    stored = redaction.request(post(text))

    assert stored.body.decode() == (
        "Ünïcode [redacted-1] customer [redacted-2] and [name]\nÄ ssn: [redacted-3] [name] [redacted-1] x*"
    )
    assert redaction.request(stored) == stored
    assert [finding.kind for finding in redaction.find(text.encode())] == ["pattern"] * 4
    assert not redaction.find(stored.body)


def test_a_function_may_change_the_number_of_lines_and_chunks_stay():
    redaction = rules(patterns=[lambda text: text.replace("two\n", "2 ")])
    body = b"one\ntwo\nthree"

    stored = redaction.exchange(stream(body, 2, 6, 9))

    assert [chunk.data for chunk in stored.response.chunks] == [b"on", b"e\n2 ", b"t", b"hree"]


def test_failures_and_the_client_are_redacted_too():
    secret = SHAPED["openai project"]
    failed = Exchange(
        post("{}"),
        failure=Failure("ConnectError", f"cannot send {secret}"),
        provenance=Provenance(client=secret),
    )
    cut = Exchange(
        post("{}"),
        Response(200, ended="cut", failure=Failure("ReadError", f"at {secret}"), chunks=(Chunk(b""),)),
    )
    redaction = rules()

    assert redaction.exchange(failed).failure == Failure("ConnectError", "cannot send [redacted-1]")
    assert redaction.exchange(failed).provenance.client == "[redacted-1]"
    assert redaction.exchange(cut).response.failure == Failure("ReadError", "at [redacted-1]")


def test_what_is_redacted_is_found_clean_in_yaml():
    bodies = [json.dumps({"api_key": secret, "content": f"x {secret}"}) for secret in SHAPED.values()]
    redaction = rules()

    stored = [redaction.request(post(body, url=f"{URL}?key={HEX}")) for body in bodies]
    document = yaml.safe_dump([{"url": each.url, "json": each.json, "raw": each.body} for each in stored])

    assert not redaction.find(document.encode())
    assert parse_qs(urlsplit(stored[0].url).query) == {"key": ["[redacted-1]"]}


def test_find_knows_lines_and_columns_of_several_secrets():
    text = f"a: {SHAPED['groq']}\n\nb: [x, {SHAPED['npm']}]\n  {SHAPED['npm']}\n"

    assert [finding[1:] for finding in rules().find(text.encode())] == [(1, 4), (3, 8), (4, 3)]


def test_a_signed_request_in_prose_loses_its_signature():
    signature = HEX
    text = f"Credential=AKIA{UPPER[:16]}/20240101/us-east-1, SignedHeaders=host, Signature={signature}"

    stored = rules().request(post(json.dumps({"text": text}))).json["text"]

    assert stored == "Credential=[redacted-1]/20240101/us-east-1, SignedHeaders=host, Signature=[redacted-2]"


def test_two_tokens_that_touch_are_both_gone():
    stored = rules().request(post(f"{JWT};{SHAPED['groq']}"))

    assert stored.body == b"[redacted-1];[redacted-2]"
