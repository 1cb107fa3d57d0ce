"""`llm_vcr = true`: what the options of pytest-recording do, what is gained, and what is refused."""

from __future__ import annotations

import socket
import sys
import types
from typing import ClassVar

import pytest
import yaml

from tests.loopback import Reply
from tests.plugin.conftest import told

pytest.importorskip("vcr")

SSE = {"content-type": "text/event-stream"}


@pytest.fixture
def suite(project):
    """A project that has the key in its ini file."""
    project.ini("llm_vcr = true")
    return project


def test_nothing_of_it_is_there_without_the_key(project):
    project.tests("""
        def test_it(request):
            assert not request.config.pluginmanager.has_plugin("llmreplay-vcr")
            assert not hasattr(request.config.option, "record_mode")

        def test_fixture(vcr): pass
    """)

    result = project.run()

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'vcr' not found"])
    assert project.run("--record-mode=once").ret == pytest.ExitCode.USAGE_ERROR


def test_the_key_can_be_given_on_the_command_line(project):
    project.tests("""
        @pytest.mark.vcr
        def test_it(vcr):
            assert ask("hi") == "re hi"
    """)

    project.run("-o", "llm_vcr=true", "--record-mode=once", "--strict-markers").assert_outcomes(passed=1)

    assert project.cassettes() == {"cassettes/test_it/test_it.yaml"}


def test_a_suite_without_cassettes_imports_nothing_but_the_plugin(suite):
    suite.write(
        "test_it.py",
        """
        import sys

        def test_it():
            assert {"httpx", "vcr", "yaml", "llmreplay"} & set(sys.modules) == set()
        """,
    )

    suite.run_alone("-p", "no:asyncio").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("module", "package", "name"),
    [
        ("pytest_recording.plugin", "pytest-recording", "recording"),
        ("cassetter.pytest_plugin", "cassetter", "cassetter"),
        ("pytest_vcr", "pytest-vcr", "vcr"),
    ],
)
def test_it_is_refused_beside_another_of_its_kind(suite, module, package, name):
    suite.write(f"{module.replace('.', '/')}.py", "")
    suite.tests("def test_it(): pass")

    result = suite.run_alone("-p", module)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        told(result)
        .strip()
        .endswith(
            f"ERROR: llm_vcr = true stands in for pytest-recording, and {package} is active: "
            "both would record each test.\n\nTo fix this:\n"
            f"  * Done with {package}? pip uninstall {package}, or addopts = -p no:{name}\n"
            "  * Not yet? Take llm_vcr out of the ini file."
        )
    )


def test_chunks_and_delays_are_kept_and_the_file_stays_one_of_vcrpy(suite):
    pieces = [b"data: a\n", b"\ndata", b": b\n\n"]
    suite.tests(f"""
        @pytest.mark.vcr
        def test_it(vcr):
            with httpx.stream("GET", URL + "/events") as response:
                assert list(response.iter_raw()) == {pieces!r}
    """)
    suite.provider._default = Reply(200, SSE, chunks=pieces)

    suite.run("--record-mode=once").assert_outcomes(passed=1)
    suite.provider._default = Reply(500)
    result = suite.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["llmreplay: 1 exchange replayed, 0 recorded, 0 live calls refused"])
    (interaction,) = yaml.safe_load(suite.cassette().read_text())["interactions"]
    assert interaction["response"]["body"] == {"string": "data: a\n\ndata: b\n\n"}
    assert [one.partition("+")[0] for one in interaction["response"]["x-llmreplay"]["chunks"].split()] == [
        "8",
        "5",
        "5",
    ]


def test_tokens_are_counted(suite):
    suite.tests("""
        @pytest.mark.vcr
        def test_it():
            assert ask("hi") == "re hi"
    """)
    suite.run("--record-mode=once").assert_outcomes(passed=1)

    assert "tokens served from recordings" in suite.run().stdout.str()


def test_requests_from_several_threads_are_all_recorded(suite):
    suite.tests("""
        import requests

        @pytest.mark.vcr
        def test_it(vcr):
            with ThreadPoolExecutor(4) as pool:
                told = list(pool.map(lambda text: requests.post(URL + "/v1/chat/completions", json={
                    "model": "gpt-5.5", "messages": [{"role": "user", "content": text}],
                }).status_code, "abcdef"))
            assert told == [200] * 6
            assert len(vcr) == 6
    """)

    suite.run("--record-mode=once").assert_outcomes(passed=1)
    suite.provider.close()
    suite.run().assert_outcomes(passed=1)


def test_what_differs_is_told_by_turns(suite):
    suite.tests("""
        @pytest.mark.vcr(match_on=["uri", "body"])
        def test_it(request):
            ask("is it late?" if request.config.getoption("--record-mode") else "is it early?")
    """)
    suite.run("--record-mode=once").assert_outcomes(passed=1)

    result = suite.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*nearest: exchange 1 of 1 (not played yet)",
            '*messages*0*.content: "is it late?" recorded, "is it early?" sent',
        ]
    )


def test_a_refusal_that_an_sdk_hides_is_told_beside_its_error(suite):
    suite.tests("""
        @pytest.mark.vcr
        def test_it():
            assert careful("hi") == "re hi"
    """)

    result = suite.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*Captured llmreplay call*", "Can't play back this request: the cassette doesn't exist*"]
    )
    result.stdout.fnmatch_lines(["llmreplay: 0 exchanges replayed, 0 recorded, 1 live call refused"])


def test_a_refusal_that_is_the_failure_is_told_once(suite):
    suite.tests("""
        @pytest.mark.vcr
        def test_it():
            ask("hi")
    """)

    result = suite.run("--tb=short")

    result.assert_outcomes(failed=1)
    assert "Captured llmreplay" not in result.stdout.str()


def test_no_secret_reaches_the_disk(suite, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "a-key-that-is-a-secret")
    shape = "sk-proj-" + "aB3dE5fG7h" * 5
    suite.tests("""
        @pytest.mark.vcr
        def test_it(vcr):
            headers = {"authorization": "Bearer opaque", "x-api-key": "another", "x-mine": "kept"}
            answer = httpx.post(
                URL + "/login?api_key=of-the-query", headers=headers, json={"password": "of-the-body"}
            )
            assert answer.headers["x-told"] == "told"
            assert vcr.requests[0].headers["authorization"] == "Bearer opaque"
            assert vcr.requests[0].body == b'{"password":"of-the-body"}'
            assert vcr.requests[0].query == [("api_key", "of-the-query")]
    """)
    body = f'{{"keys": ["{shape}", "a-key-that-is-a-secret"]}}'.encode()
    suite.provider._default = Reply(200, {"x-told": "told"}, chunks=[body[:30], body[30:]])

    suite.run("--record-mode=once").assert_outcomes(passed=1)
    suite.run().assert_outcomes(passed=1)

    text = suite.cassette().read_text()
    for secret in (shape, "a-key-that", "opaque", "another", "of-the-query", "of-the-body"):
        assert secret not in text
    assert "x-mine" in text


@pytest.mark.parametrize("mode", ["new_episodes", "rewrite", "all"])
def test_modes_that_ask_again(suite, mode):
    suite.tests("""
        @pytest.mark.vcr
        def test_it(request):
            ask("a")
            if request.config.getoption("--record-mode") != "once":
                ask("b")
    """)
    suite.run("--record-mode=once").assert_outcomes(passed=1)
    suite.voice = "anew"

    suite.run(f"--record-mode={mode}").assert_outcomes(passed=1)

    if mode == "new_episodes":
        # Bodies do not count by default: vcrpy plays the one answer, and records the second.
        assert suite.answers() == ["re a", "anew b"]
    else:
        assert suite.answers() == ["anew a", "anew b"]


def test_a_cassette_that_vcrpy_wrote_stays_as_it_is_but_for_what_is_added(suite):
    pytest.importorskip("requests")
    suite.tests("""
        import requests

        @pytest.mark.vcr(match_on=["uri"])
        def test_it(request):
            assert requests.get("http://old.test/").text == "old"
            if request.config.getoption("--record-mode"):
                assert ask("new") == "re new"
    """)
    old = {
        "request": {
            "method": "GET",
            "uri": "http://old.test/",
            "headers": {"Authorization": ["mine"]},
            "body": None,
        },
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "old"}},
    }
    path = suite.cassette()
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"version": 1, "interactions": [old]}))
    before = path.read_bytes()

    suite.run().assert_outcomes(passed=1)
    assert path.read_bytes() == before
    suite.run("--record-mode=new_episodes").assert_outcomes(passed=1)

    first, second = yaml.safe_load(path.read_text())["interactions"]
    assert first == old
    assert "x-llmreplay" in second["response"]


def test_extra_cassettes_are_not_copied(suite):
    suite.write(
        "shared.yaml",
        """
        interactions:
        - request: {method: GET, uri: "http://shared.test/", headers: {}, body: null}
          response: {status: {code: 200, message: OK}, headers: {}, body: {string: shared}}
        version: 1
        """,
    )
    suite.tests("""
        @pytest.mark.vcr("../../shared.yaml", record_mode="new_episodes")
        def test_it():
            assert httpx.get("http://shared.test/").text == "shared"
            assert ask("own") == "re own"
    """)

    suite.run().assert_outcomes(passed=1)

    (own,) = yaml.safe_load(suite.cassette().read_text())["interactions"]
    assert own["request"]["uri"].startswith(suite.provider.url)


def test_recording_can_be_turned_off(suite):
    suite.tests("""
        @pytest.mark.vcr
        def test_it(vcr):
            assert vcr is None
            assert ask("hi") == "re hi"
    """)

    suite.run("--disable-recording").assert_outcomes(passed=1)

    assert suite.asked == ["hi"]
    assert suite.cassettes() == set()


BLOCKED = """
    def test_plain():
        with pytest.raises(RuntimeError, match="^Network is disabled for host '127.0.0.1'$"):
            ask("plain")

    @pytest.mark.vcr
    def test_recorded():
        assert ask("recorded") == "re recorded"
"""


def test_the_network_is_blocked_for_all_tests_but_those_that_record(suite):
    suite.tests(BLOCKED)

    suite.run_alone("--block-network", "--record-mode=once").assert_outcomes(passed=2)
    suite.run_alone("--block-network").assert_outcomes(passed=2)

    assert suite.asked == ["recorded"]


def test_hosts_are_allowed_on_the_command_line(suite):
    suite.tests("""
        def test_it():
            assert ask("hi") == "re hi"

        @pytest.mark.block_network(allowed_hosts=["10.0.0.1"])
        def test_the_marker_wins():
            with pytest.raises(RuntimeError):
                ask("hi")
    """)

    suite.run_alone("--block-network", r"--allowed-hosts=example\.com,127\.0\..*").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "told_of"),
    [
        ("block_network(True)", "It accepts only the following keyword arguments: `allowed_hosts`"),
        ("block_network(hosts=[])", "kwargs: {'hosts': *"),
        ("default_cassette", "the marker `default_cassette` has no name"),
        ("llm_cassette", "has the markers `vcr` and `llm_cassette`: decide on one"),
        ("vcr(record_mode='sometimes')", "'sometimes' is not a valid record_mode"),
        ("vcr(serializer='toml')", "Serializer toml doesn't exist or isn't registered"),
        ("vcr(match_on=['smell'])", "Matcher smell doesn't exist or isn't registered"),
        ("vcr(skip_patchers=['lynx'])", "Unknown patcher(s) in skip_patchers: lynx"),
    ],
)
def test_markers_that_mean_nothing_are_errors(suite, marker, told_of):
    suite.tests(f"""
        @pytest.mark.vcr
        @pytest.mark.{marker}
        def test_it(): pass
    """)

    result = suite.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{told_of.replace('[', '?').replace(']', '?')}*"])


def test_an_option_that_vcrpy_passes_over_is_warned_of(suite):
    suite.tests("""
        @pytest.mark.vcr(filter_header=["authorization"])
        def test_it(): pass
    """)

    result = suite.run("-Wdefault")

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*vcrpy knows no option 'filter_header': it has no effect"])


@pytest.mark.parametrize(("kept", "files"), [(True, 1), (False, 0)])
def test_a_failed_test_keeps_its_recording_unless_told_otherwise(suite, kept, files):
    suite.tests(f"""
        @pytest.mark.vcr(record_on_exception={kept})
        def test_it():
            ask("a")
            assert False
    """)

    suite.run("--record-mode=once").assert_outcomes(failed=1)

    assert len(suite.cassettes()) == files


def test_no_provider_key_is_made_up(suite):
    suite.tests("""
        import os

        @pytest.mark.vcr
        def test_it():
            assert "OPENAI_API_KEY" not in os.environ
    """)

    suite.run().assert_outcomes(passed=1)


def test_what_is_no_http_is_left_alone_as_vcrpy_leaves_it(suite):
    suite.tests("""
        import socket

        @pytest.mark.vcr
        def test_it():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.connect(("192.0.2.1", 9))
    """)

    suite.run().assert_outcomes(passed=1)


def test_a_script_inside_answers_the_model(suite):
    suite.tests("""
        from llmreplay import say

        @pytest.mark.vcr
        def test_it(vcr, llm_script):
            llm_script.turns(say("by hand"))
            assert ask("hi") == "by hand"
            assert httpx.get(URL + "/v1/chat/completions").status_code == 200
            assert len(vcr) == 1
    """)
    suite.provider._default = Reply.json({})

    suite.run("--record-mode=once").assert_outcomes(passed=1)


def test_libraries_can_be_skipped(suite):
    suite.tests("""
        import requests

        @pytest.mark.vcr(skip_patchers=["httpx"])
        def test_it(vcr):
            assert ask("hi") == "re hi"
            assert len(vcr) == 0
            with pytest.raises(Exception, match="Can't play back this request"):
                requests.get(URL)
    """)

    suite.run().assert_outcomes(passed=1)


def test_custom_patches_are_put_in_place(suite):
    suite.write(
        "own.py",
        """
        import http.client

        class Connection(http.client.HTTPConnection):
            pass
        """,
    )
    suite.tests("""
        import own
        import vcr.stubs

        REAL = own.Connection

        class Stub(vcr.stubs.VCRHTTPConnection):
            _baseclass = REAL

        @pytest.mark.vcr(custom_patches=((own, "Connection", Stub),))
        def test_it(vcr):
            connection = own.Connection(URL.partition("//")[2])
            connection.request("POST", "/v1/chat/completions", b'{"messages": [{"content": "hi"}]}')
            assert b"re hi" in connection.getresponse().read()
            connection.close()
            assert len(vcr) == 1

        def test_they_are_taken_out_again():
            assert own.Connection is REAL
    """)

    suite.run("--record-mode=once").assert_outcomes(passed=2)
    suite.provider.close()
    suite.run().assert_outcomes(passed=2)


def test_a_persister_can_be_registered(suite):
    suite.write(
        "conftest.py",
        """
        import pytest
        from vcr.persisters.filesystem import CassetteNotFoundError

        kept = {}

        class Memory:
            @staticmethod
            def load_cassette(path, serializer):
                if path not in kept:
                    raise CassetteNotFoundError
                return kept[path]

            @staticmethod
            def save_cassette(path, content, serializer):
                kept[path] = (content["requests"], content["responses"])

        def pytest_recording_configure(config, vcr):
            vcr.register_persister(Memory)

        @pytest.fixture
        def memory():
            return kept
        """,
    )
    suite.tests("""
        @pytest.mark.vcr
        @pytest.mark.default_cassette("one")
        def test_first(): ask("a")

        @pytest.mark.vcr
        @pytest.mark.default_cassette("one")
        def test_second(vcr):
            assert ask("a") == "re a"
            assert vcr.play_count == 1
    """)

    suite.run("--record-mode=once", "-p", "no:randomly").assert_outcomes(passed=2)

    assert suite.asked == ["a"]
    assert suite.cassettes() == set()


def test_runs_in_two_processes_are_counted_together(suite):
    suite.tests("""
        @pytest.mark.vcr
        @pytest.mark.parametrize("text", "abc")
        def test_it(text):
            assert ask(text) == f"re {text}"
    """)

    result = suite.run_alone("-n", "2", "--record-mode=once")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["llmreplay: 0 exchanges replayed, 3 recorded, 0 live calls refused"])


class FakeCurl:
    """What pycurl's handles have that a block asks for."""

    URL = 1
    performed: ClassVar[list[str]] = []

    def setopt(self, option, value):
        self.last = value

    def perform(self):
        self.performed.append(self.last)


class FakeMulti:
    def __init__(self):
        self.handles = []

    def add_handle(self, handle):
        self.handles.append(handle)


@pytest.fixture
def curl(monkeypatch):
    """pycurl, or, where it is not installed, a module of its shape."""
    from pytest_llmreplay import _vcr_network

    module = types.ModuleType("pycurl")
    module.Curl, module.CurlMulti, module.URL = FakeCurl, FakeMulti, 1
    module.__spec__ = types.SimpleNamespace(name="pycurl")
    monkeypatch.setitem(sys.modules, "pycurl", module)
    FakeCurl.performed.clear()
    _vcr_network.watch_pycurl()
    yield module
    _vcr_network.release_pycurl()
    assert module.Curl is FakeCurl


@pytest.mark.parametrize("url", ["http://far.test/a", b"http://far.test/a", "far.test/a"])
def test_handles_of_pycurl_ask_before_they_perform(curl, url):
    from pytest_llmreplay import _vcr_network

    handle, multi = curl.Curl(), curl.CurlMulti()
    handle.setopt(curl.URL, url)
    handle.setopt(2, "of another option")
    with _vcr_network.blocked(["near"]):
        with pytest.raises(RuntimeError, match=r"^Network is disabled for host 'far\.test'$"):
            handle.perform()
        with pytest.raises(RuntimeError):
            multi.add_handle(handle)
    with _vcr_network.blocked(["far"]):
        handle.perform()
        multi.add_handle(handle)

    assert len(FakeCurl.performed) == len(multi.handles) == 1


def test_unix_sockets_and_other_families_are_hosts_too(tmp_path):
    from pytest_llmreplay import _vcr_network

    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        with _vcr_network.blocked(None), pytest.raises(RuntimeError, match=r"/s'$"):
            client.connect(path)
        with _vcr_network.blocked([str(tmp_path)]):
            client.connect(path)


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_aiohttp_is_recorded_with_its_pieces(suite, coding):
    pytest.importorskip("aiohttp")
    suite.tests("""
        import aiohttp

        @pytest.mark.vcr
        def test_it(vcr):
            async def pieces():
                async with aiohttp.ClientSession() as client, client.get(URL + "/events") as response:
                    return [piece async for piece, _ in response.content.iter_chunks()]

            assert b"".join(asyncio.run(pieces())) == b"one two"
            assert len(vcr) == 1
    """)
    suite.provider._default = Reply(200, chunks=[b"one ", b"two"], coding=coding)

    suite.run("--record-mode=once").assert_outcomes(passed=1)
    suite.provider._default = Reply(500)
    suite.run().assert_outcomes(passed=1)

    (interaction,) = yaml.safe_load(suite.cassette().read_text())["interactions"]
    assert interaction["response"]["x-llmreplay"]["edge"] == "aiohttp"
