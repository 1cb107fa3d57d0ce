"""A tape with vcrpy's manners: what it plays, what it records, and what of that reaches the disk."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
import vcr
import yaml
from vcr.request import Request as VcrRequest

from llmreplay.cassette.vcr_tape import Files, NotOnTape, load_tape
from llmreplay.errors import CassetteError, SecretInCassette
from llmreplay.exchange import Chunk, Exchange, Failure, Request, Response

KEY = "sk-proj-" + "aB3dE5fG7h" * 5


def tape(path, *, anew=False, extra=(), **options):
    maker = vcr.VCR(
        cassette_library_dir=str(path.parent), record_mode=options.pop("record_mode", "new_episodes")
    )
    maker.register_persister(Files(extra))
    return load_tape(maker, path.name, options, anew=anew)


def asked(url="http://host.test/a", body=b"", method="GET", **headers):
    return Request(
        method, url, tuple((name.replace("_", "-"), value) for name, value in headers.items()), body
    )


def answered(*pieces, status=200, headers=(), **rest):
    return Response(status, headers, tuple(Chunk(piece, 0.5) for piece in pieces), **rest)


def record(one, request, response, edge="httpx"):
    one.ask(request, edge)(Exchange(request, response))


def replay(one, request, edge="httpx"):
    played = one.ask(request, edge)
    assert isinstance(played, Exchange)
    return played.response


def stored(path):
    return yaml.safe_load(path.read_text())["interactions"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "it.yaml"


def recorded(path, request, response, edge="httpx", **options):
    """Record one exchange, and return a tape that plays it."""
    first = tape(path, **options)
    record(first, request, response, edge)
    first.save()
    return tape(path, record_mode="none", **options)


def test_pieces_and_delays_come_back(path):
    response = answered(b"one", b"two", http_version="HTTP/2", delay=2.0, reason="Fine")
    again = recorded(path, asked(), response)

    assert replay(again, asked()) == response
    assert "chunks" not in again.responses[0]


def test_a_broken_answer_comes_back_broken(path):
    failure = Failure("ReadError", "gone", "body")
    response = answered(b"half", ended="cut", failure=failure)

    assert replay(recorded(path, asked(), response), asked()) == response


def test_a_failure_without_an_answer_is_not_recorded(path):
    one = tape(path)

    one.ask(asked(), "httpx")(Exchange(asked(), failure=Failure("ConnectError", "refused", "connect")))
    one.save()

    assert len(one) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    "edge", ["httpx", "httpx2", "urllib3", "botocore", "aiohttp", "http.client", "another"]
)
def test_names_of_headers_and_empty_bodies_are_as_vcrpy_has_them(path, edge):
    again = recorded(
        path, asked(X_Mine="1"), answered(b"x", headers=(("X-Told", "a"), ("X-Told", "b"))), edge
    )

    assert again.requests[0].body == (b"" if edge in ("httpx", "httpx2") else None)
    name = "x-told" if edge in ("httpx", "httpx2") else "X-Told"
    assert again.responses[0]["headers"] == {name: ["a", "b"]}


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_urllib3_gets_a_body_in_its_coding_that_is_stored_without(path, coding, pack):
    packed = pack(b"plain" * 9)
    headers = (("Content-Encoding", coding), ("Content-Length", str(len(packed))))
    again = recorded(path, asked(), answered(packed[:9], packed[9:], headers=headers), "urllib3")

    assert stored(path)[0]["response"]["body"] == {"string": "plain" * 9}
    played = replay(again, asked(), "urllib3")
    unpack = gzip.decompress if coding == "gzip" else zlib.decompress
    assert unpack(played.body) == b"plain" * 9
    assert played.header("content-length") == str(len(played.body))


def test_httpx_gets_a_body_in_its_coding_as_it_came(path):
    packed = gzip.compress(b"plain" * 9, mtime=0)
    response = answered(packed[:9], packed[9:], headers=(("content-encoding", "gzip"),))

    assert replay(recorded(path, asked(), response), asked()) == response


@pytest.mark.parametrize(
    ("coding", "body", "headers"),
    [
        ("gzip", gzip.compress(b"plain", mtime=0), {"content-encoding": "gzip"}),
        ("br", b"plain", {}),
        ("identity", b"plain", {}),
    ],
)
def test_a_body_of_another_recorder_is_played_under_true_headers(path, coding, body, headers):
    one = tape(path)
    response = {"status": {"code": 200, "message": "OK"}, "headers": {"content-encoding": [coding]}}
    one.append(VcrRequest("GET", "http://host.test/a", None, {}), {**response, "body": {"string": body}})
    one.save()

    played = replay(tape(path), asked())

    assert played.body == body
    assert dict(played.headers) == headers


def test_the_old_shape_of_httpx_is_played(path):
    path.write_text(
        """
        interactions:
        - request: {method: GET, uri: "http://host.test/a", headers: {}, body: ""}
          response: {status_code: 201, http_version: HTTP/1.1, headers: {}, content: told}
        version: 1
        """
    )

    played = replay(tape(path), asked())

    assert (played.status, played.body) == (201, b"told")


def test_what_cannot_be_played_is_named(path):
    one = tape(path)
    one.append(VcrRequest("GET", "http://host.test/a", None, {}), {"status": {}, "headers": {}, "body": {}})
    one.rewound = True

    with pytest.raises(CassetteError, match=r"exchange 1 of .*it\.yaml cannot be played: a response has"):
        one.ask(asked(), "httpx")


# Secrets


def test_credentials_and_names_of_secrets_are_replaced_in_requests(path):
    request = asked(
        "http://host.test/a?api_key=of-the-url&q=1",
        b'{"password": "of-the-body"}',
        "POST",
        Authorization="Bearer of-a-header",
        Content_Type="application/json",
        Content_Length="27",
    )
    again = recorded(path, request, answered(b"ok"), match_on=["uri", "body", "headers"])

    asked_for = stored(path)[0]["request"]
    assert asked_for["headers"]["authorization"] == ["[redacted-1]"]
    assert "redacted-" in asked_for["uri"]
    assert asked_for["headers"]["content-length"] == [str(len(asked_for["body"]))]
    assert "of-" not in path.read_text()
    assert again.record_mode == "none"
    assert replay(again, request).body == b"ok"
    assert again.requests[0].uri == request.url
    assert again.requests[0].headers["authorization"] == "Bearer of-a-header"


def test_another_secret_is_as_good_as_the_recorded_one_and_another_request_is_not(path):
    again = recorded(path, asked(authorization="one", x_a="1"), answered(b"ok"), match_on=["uri", "headers"])

    with pytest.raises(NotOnTape):
        again.ask(asked(authorization="two", x_a="2"), "httpx")
    assert replay(again, asked(authorization="two", x_a="1")).body == b"ok"


def test_what_a_filter_has_put_there_stays(path):
    recorded(
        path,
        asked("http://host.test/a?api_key=of-the-url", b"password=of-the-body", "POST", authorization="mine"),
        answered(b"ok"),
        filter_headers=[("authorization", "A NAME")],
        filter_query_parameters=[("api_key", "ANOTHER-NAME")],
        filter_post_data_parameters=[("password", "A-THIRD-NAME")],
    )

    request = stored(path)[0]["request"]
    assert request["headers"]["authorization"] == ["A NAME"]
    assert request["uri"].endswith("?api_key=ANOTHER-NAME")
    assert request["body"] == "password=A-THIRD-NAME"


def test_a_hook_that_builds_its_own_request_hides_no_secret_from_us(path):
    def own(request):
        return VcrRequest(request.method, request.uri, request.body, {"authorization": "mine"})

    recorded(path, asked(authorization="mine"), answered(b"ok"), before_record_request=own)

    assert stored(path)[0]["request"]["headers"]["authorization"] == ["[redacted-1]"]


def test_placeholders_go_on_where_the_file_stops(path):
    recorded(path, asked(authorization="one"), answered(b"ok"))
    recorded(path, asked("http://host.test/b", authorization="two"), answered(b"ok"))

    told = [one["request"]["headers"]["authorization"] for one in stored(path)]
    assert told == [["[redacted-1]"], ["[redacted-2]"]]


def test_a_secret_in_an_answer_is_replaced_and_the_pieces_stay(path):
    body = f'{{"echo": "{KEY}", "more": 1}}'.encode()
    headers = (("content-length", str(len(body))), ("x-key", KEY), ("x-more", "kept"))
    again = recorded(path, asked(), answered(body[:20], body[20:], headers=headers))

    played = replay(again, asked())
    assert played.body == b'{"echo": "[redacted-1]", "more": 1}'
    assert [chunk.delay for chunk in played.chunks] == [0.5, 0.5]
    assert dict(played.headers) == {
        "content-length": str(len(played.body)),
        "x-key": "[redacted-1]",
        "x-more": "kept",
    }


@pytest.mark.parametrize("edge", ["httpx", "urllib3"])
def test_a_secret_in_a_compressed_answer_is_found(path, edge):
    packed = gzip.compress(f"key: {KEY}".encode(), mtime=0)
    again = recorded(path, asked(), answered(packed, headers=(("content-encoding", "gzip"),)), edge)

    assert KEY not in path.read_text()
    played = replay(again, asked(), edge)
    body = gzip.decompress(played.body) if played.header("content-encoding") else played.body
    assert body == b"key: [redacted-1]"


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_secret_in_the_body_of_a_request_is_found(path, coding):
    plain = f"key: {KEY}".encode()
    headers = {"content-encoding": coding} if coding else {}
    sent = gzip.compress(plain, mtime=0) if coding else plain
    recorded(path, asked(body=sent, method="POST", **headers), answered(b"ok"))

    request = stored(path)[0]["request"]
    assert request["body"] == "key: [redacted-1]"
    assert "content-encoding" not in request["headers"]


def test_a_compressed_body_without_a_secret_stays_as_it_is(path):
    packed = gzip.compress(b"plain", mtime=0)
    recorded(path, asked(body=packed, method="POST", content_encoding="gzip"), answered(b"ok"))

    assert stored(path)[0]["request"]["body"] == packed


def test_a_secret_that_a_serializer_brings_back_is_refused(path):
    class Leaky:
        @staticmethod
        def serialize(content):
            return f"# {KEY}\n"

        @staticmethod
        def deserialize(text):
            return yaml.safe_load(text)

    maker = vcr.VCR(cassette_library_dir=str(path.parent), serializer="leaky")
    maker.register_serializer("leaky", Leaky)
    maker.register_persister(Files())
    one = load_tape(maker, path.name, {})
    record(one, asked(), answered(b"ok"))

    with pytest.raises(SecretInCassette, match="line 1") as caught:
        one.save()

    assert caught.value.path == path
    assert not path.exists()


def test_what_another_recorder_wrote_is_not_touched_but_for_what_looks_like_a_secret(path):
    one = tape(path)
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": b"old"}}
    one.append(VcrRequest("GET", "http://host.test/old", None, {}), response)
    path.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "interactions": [
                    {
                        "request": {
                            "method": "GET",
                            "uri": "http://host.test/old?api_key=of-the-user",
                            "headers": {"authorization": ["DUMMY"], "x-key": [KEY]},
                            "body": None,
                        },
                        "response": {**response, "body": {"string": "old"}},
                    }
                ],
            }
        )
    )

    recorded(path, asked(), answered(b"new"))

    request = stored(path)[0]["request"]
    assert request["uri"].endswith("api_key=of-the-user")
    assert request["headers"] == {"authorization": ["DUMMY"], "x-key": ["[redacted-1]"]}


# Hooks


def test_hooks_do_not_see_what_is_kept_beside_a_response_and_do_not_lose_it(path):
    seen = []

    def look(response):
        seen.append(dict(response))
        return {**response}

    again = recorded(path, asked(), answered(b"one", b"two"), before_record_response=look)

    assert {"x-llmreplay"} & {name for one in seen for name in one} == set()
    assert [chunk.data for chunk in replay(again, asked()).chunks] == [b"one", b"two"]


def test_a_body_that_a_hook_has_changed_is_one_piece(path):
    def shout(response):
        return {**response, "body": {"string": response["body"]["string"].upper() + b"!"}}

    again = recorded(path, asked(), answered(b"one", b"two"), before_record_response=shout)

    assert [chunk.data for chunk in replay(again, asked()).chunks] == [b"ONETWO!!"]


@pytest.mark.parametrize("name", ["before_save_interaction", "after_load_interaction"])
def test_hooks_on_interactions_keep_the_pieces(path, name):
    def another(request, response, cassette):
        return VcrRequest(request.method, request.uri, request.body, dict(request.headers)), dict(response)

    again = recorded(path, asked(authorization="DUMMY"), answered(b"one", b"two"), **{name: another})

    assert [chunk.data for chunk in replay(again, asked(authorization="DUMMY")).chunks] == [b"one", b"two"]


def test_a_hook_on_interactions_can_drop_them(path):
    one = tape(path, before_save_interaction=lambda request, response: None)
    record(one, asked(), answered(b"ok"))
    one.save()

    assert stored(path) == []


def test_an_answer_that_was_put_in_by_hand_is_played(path):
    one = tape(path, allow_playback_repeats=True)
    by_hand = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "text"}}
    one.append(VcrRequest("GET", "http://host.test/a", None, {}), by_hand)

    assert replay(one, asked()).body == b"text"


# Looking up


def test_what_is_equal_is_looked_up_and_not_searched(path):
    calls = []

    def slow(one, other):
        calls.append(other.uri)

    maker = vcr.VCR(cassette_library_dir=str(path.parent), record_mode="new_episodes")
    maker.register_matcher("slow", slow)
    maker.register_persister(Files())
    one = load_tape(maker, path.name, {"additional_matchers": ["slow"]})
    for number in range(50):
        record(one, asked(f"http://host.test/{number}"), answered(b"%d" % number))
    one.rewound = True
    calls.clear()

    assert replay(one, asked("http://host.test/49")).body == b"49"
    assert calls == ["http://host.test/49"]


def test_what_a_test_takes_out_is_not_found_any_more(path):
    one = tape(path, allow_playback_repeats=True)
    record(one, asked(authorization="me"), answered(b"ok"))
    assert replay(one, asked(authorization="me")).body == b"ok"

    one.data.clear()

    assert callable(one.ask(asked(), "httpx"))


def test_a_refusal_tells_what_differs_where_bodies_count(path):
    request = asked("http://host.test/a", b'{"a": 1}', "POST")
    again = recorded(path, request, answered(b"ok"), match_on=["uri", "body"])

    with pytest.raises(NotOnTape) as caught:
        again.ask(asked("http://host.test/a", b'{"a": 2}', "POST"), "httpx")

    assert str(caught.value).endswith(
        "nearest: exchange 1 of 1 (not played yet)\ndiffers:\n  a: 1 recorded, 2 sent"
    )
    assert again.refused == [caught.value]


def test_a_refusal_of_an_empty_tape_tells_no_nearest(path):
    with pytest.raises(NotOnTape) as caught:
        tape(path, record_mode="none").ask(asked(), "httpx")

    assert "nearest" not in str(caught.value)


@pytest.mark.parametrize(
    ("edge", "skipped", "left_alone"),
    [
        ("httpx", ("httpx",), True),
        ("httpx2", ("httpx",), False),
        ("urllib3", ("urllib3",), False),
        ("urllib3", ("urllib3", "requests"), True),
        ("botocore", ("boto3",), True),
    ],
)
def test_libraries_that_are_skipped_are_left_alone(path, edge, skipped, left_alone):
    assert (tape(path, skip_patchers=skipped).ask(asked(), edge) is None) is left_alone


# Files


def test_metadata_is_kept(path):
    first = tape(path)
    first.get_metadata("seed", 7)
    record(first, asked(), answered(b"ok"))
    first.save()

    assert tape(path).get_metadata("seed", 9) == 7


def test_extra_files_are_played_and_not_copied(path):
    extra = path.with_name("extra.yaml")
    recorded(extra, asked("http://host.test/extra"), answered(b"extra"))
    one = tape(path, extra=[extra, path.with_name("none.yaml")])

    assert replay(one, asked("http://host.test/extra")).body == b"extra"
    record(one, asked(), answered(b"own"))
    one.save()

    assert [each["request"]["uri"] for each in stored(path)] == ["http://host.test/a"]


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_none(path, text):
    path.write_text(text)

    assert not tape(path).rewound


def test_starting_anew_takes_the_old_file_away(path):
    recorded(path, asked(), answered(b"ok"))

    assert len(tape(path, anew=True)) == 0
    assert not path.exists()
    assert len(tape(path, anew=True)) == 0


def test_requests_that_were_not_played_can_be_dropped(path):
    first = tape(path)
    for place in "ab":
        record(first, asked(f"http://host.test/{place}", authorization=place), answered(b"ok"))
    first.save()
    again = tape(path, record_mode="none", drop_unused_requests=True)
    replay(again, asked("http://host.test/b", authorization="b"))
    again.save()

    (left,) = stored(path)
    assert left["request"]["uri"] == "http://host.test/b"
    assert left["request"]["headers"]["authorization"] == ["[redacted-2]"]


def test_a_body_in_pieces_stays_in_pieces(path):
    one = tape(path)
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": b"ok"}}
    one.append(VcrRequest("POST", "http://host.test/a", iter([b"a", b"b"]), {}), response)
    one.save()

    assert b"".join(tape(path).requests[0].body) == b"ab"


def test_a_long_name_can_be_written(tmp_path):
    path = tmp_path / f"{'x' * 240}.yaml"

    recorded(path, asked(), answered(b"ok"))

    assert [file.name for file in Path(tmp_path).iterdir()] == [path.name]
