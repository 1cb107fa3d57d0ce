"""Options, ini keys and the marker: which wins, and what is told of values that mean nothing."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import told

RECORD = "none, once, new_episodes, all, rewrite"

SAYS = """
@pytest.fixture(autouse=True)
def says(llm_cassette):
    from llmreplay import session
    yield
    now = session.current()
    print("SAYS", now.record, now.unused, now.network, now.speed, now.split, sorted(now.allowed_hosts))
"""


def says(project, *args):
    result = project.run("-s", *args)
    result.assert_outcomes(passed=1)
    return next(line.partition("SAYS ")[2] for line in result.outlines if "SAYS " in line)


def test_without_any_option_a_test_only_replays_and_is_strict(project):
    project.tests(SAYS + "def test_it(): pass")

    assert says(project) == "none fail block 0.0 None []"


def test_the_command_line_wins_over_the_marker_and_the_marker_over_the_ini_file(project):
    project.ini("llm_record = all", "llm_unused = ignore", "llm_network = allow", "llm_allow_host = a.test")
    project.tests(SAYS + "def test_it(): pass")
    assert says(project) == "all ignore allow 0.0 None ['a.test']"

    project.tests(
        SAYS
        + """
@pytest.mark.llm_cassette(
    record="new_episodes", unused="warn", speed=2, split="bytes", allowed_hosts=["b.test"]
)
def test_it(): pass
"""
    )
    assert says(project) == "new_episodes warn allow 2.0 bytes ['a.test', 'b.test']"

    given = ["--llm-record=none", "--llm-unused=fail", "--llm-network=block", "--llm-allow-host=c.test"]
    assert says(project, *given) == "none fail block 2.0 bytes ['a.test', 'b.test', 'c.test']"


def test_markers_of_module_class_function_and_parameter_add_up_and_the_nearest_wins(project):
    project.tests(
        SAYS
        + """
pytestmark = pytest.mark.llm_cassette(record="all", unused="ignore", speed=1, allowed_hosts=["m.test"])

@pytest.mark.llm_cassette(unused="warn", speed=2)
class TestIt:
    @pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.llm_cassette(split=7))])
    @pytest.mark.llm_cassette(speed=3, split=5, allowed_hosts=("f.test",))
    def test_it(self, n): pass
"""
    )

    assert says(project) == "all warn block 3.0 7 ['f.test', 'm.test']"


def test_only_the_case_whose_parameter_has_the_marker_gets_a_cassette(project):
    project.tests("""
        from llmreplay import session

        @pytest.mark.parametrize("open", [0, pytest.param(1, marks=pytest.mark.llm_cassette), 0])
        def test_it(open):
            assert session.open_sessions() == open
    """)

    project.run().assert_outcomes(passed=3)


def test_a_function_may_go_back_to_the_path_of_its_own(project):
    project.tests("""
        pytestmark = pytest.mark.llm_cassette("shared.yaml")

        @pytest.mark.llm_cassette(path=None)
        def test_it(): ask("hi")
    """)

    project.record()

    assert project.cassettes() == {"cassettes/test_it/test_it.yaml"}


@pytest.mark.parametrize(
    ("option", "choices"),
    [("--llm-record", RECORD), ("--llm-unused", "fail, warn, ignore"), ("--llm-network", "block, allow")],
)
def test_a_wrong_value_of_an_option_is_a_usage_error_that_names_the_choices(project, option, choices):
    project.tests("def test_it(): pass")

    result = project.run(f"{option}=sometimes")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert all(choice in told(result) for choice in [option, "sometimes", *choices.split(", ")])


@pytest.mark.parametrize(
    ("key", "choices"),
    [("llm_record", RECORD), ("llm_unused", "fail, warn, ignore"), ("llm_network", "block, allow")],
)
def test_a_wrong_ini_value_is_a_usage_error_that_names_the_choices(project, key, choices):
    project.tests("def test_it(): pass")
    project.ini(f"{key} = sometimes")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: ini key {key} is 'sometimes'; expected one of {choices}"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "recrod='once'",
            "the marker llm_cassette knows no 'recrod'; expected one of path, record, ignore, *",
        ),
        ("record='sometimes'", f"record is 'sometimes'; expected one of {RECORD}"),
        ("unused='no'", "unused is 'no'; expected one of fail, warn, ignore"),
        ("speed='fast'", "speed is 'fast'; expected 0 *"),
        ("split=0.5", "split is 0.5; expected None, 'bytes', *"),
        ("only='http'", "only is 'http'; expected 'llm' or None"),
        ("ignore=7", "ignore of the marker llm_cassette is 7; expected a list of texts"),
        ("redact=['[']", "*'['*"),
        ("path=7", "path of the marker llm_cassette is 7; expected the path of a cassette"),
        ("''", "path of the marker llm_cassette is ''; expected the path of a cassette"),
        ("'a.yaml', 'once'", "the marker llm_cassette takes one path; its options go by name"),
        ("'.'", "* cannot be read: Is a directory"),
        ("'test_it.py'", "*test_it.py is no cassette that llmreplay reads."),
    ],
)
def test_a_marker_that_means_nothing_is_told_plainly(project, marker, message):
    project.tests(f"""
        @pytest.mark.llm_cassette({marker})
        def test_it(): pass
    """)

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"test_it.py::test_it cannot use its cassette: {message.replace('[', '[[]')}"]
    )
    assert "Traceback" not in told(result)
    assert "__init__.py" not in told(result)


def test_options_of_none_are_as_if_left_out(project):
    project.tests(
        SAYS
        + """
@pytest.mark.llm_cassette(
    None, record=None, unused=None, speed=None, split=None, ignore=None, allowed_hosts=None
)
def test_it(): pass
"""
    )

    assert says(project) == "none fail block 0.0 None []"


@pytest.mark.parametrize("ignore", ["'messages[*].content'", "['messages[*].content']"])
def test_what_a_marker_ignores_may_change(project, ignore):
    project.tests('def test_it(llm_cassette): ask("a")')
    project.record()
    project.tests(f"""
        @pytest.mark.llm_cassette(ignore={ignore})
        def test_it(): assert ask("b") == "re a"
    """)

    project.run().assert_outcomes(passed=1)


def test_exchanges_that_nobody_asked_for_can_be_a_warning_or_ignored(project):
    project.tests('def test_it(llm_cassette): ask("a"), ask("b")')
    project.record()
    project.tests('def test_it(llm_cassette): ask("a")')

    result = project.run("--llm-unused=warn", "-Wdefault")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_it", "*UnusedExchangesWarning: *test_it.yaml: *never asked for: 2"]
    )

    result = project.run("--llm-unused=ignore")
    result.assert_outcomes(passed=1, warnings=0)


@pytest.mark.parametrize("beside", [True, False], ids=["beside the test", "below the root"])
def test_a_path_is_looked_for_beside_the_test_file_and_then_below_the_root(project, beside):
    source = project.tests
    source('def test_it(llm_cassette): assert ask("a") == "re a"')
    project.record()
    place = project.root / ("tests/data/a.yaml" if beside else "data/a.yaml")
    place.parent.mkdir(parents=True)
    project.cassette().rename(place)
    source(
        """
        @pytest.mark.llm_cassette("data/a.yaml")
        def test_it(): assert ask("a") == "re a"
    """,
        "tests/test_it.py",
    )

    project.run("tests").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [(None, "tests/data/a.yaml"), ("data", "data/a.yaml"), ("tests/data", "tests/data/a.yaml")],
)
def test_a_path_that_is_not_there_yet_is_recorded_where_its_folder_is(project, folder, expected):
    if folder:
        (project.root / folder).mkdir(parents=True)
    project.tests(
        """
        @pytest.mark.llm_cassette("data/a.yaml")
        def test_it(): ask("a")
    """,
        "tests/test_it.py",
    )

    project.record()

    assert (project.root / expected).exists()


@pytest.mark.parametrize(
    ("ini", "shared"), [((), 1), (("llm_share_tls = false",), 4)], ids=["default", "false"]
)
def test_clients_share_a_tls_context_unless_the_ini_file_says_no(project, ini, shared):
    project.ini(*ini)
    project.tests(f"""
        import httpx2

        def contexts():
            return {{httpx2.Client()._transport._pool._ssl_context for _ in range(4)}}

        def test_cassette(llm_cassette):
            assert len(contexts()) == {shared}

        def test_script(llm_script):
            assert len(contexts()) == {shared}
    """)

    project.run().assert_outcomes(passed=2)


def test_the_options_are_told_by_help_and_the_marker_by_markers(project):
    said = told(project.run("--help"))
    for name in (
        "--llm-record",
        "--llm-unused",
        "--llm-network",
        "--llm-allow-host",
        "llm_cassette_dir",
        "llm_redact",
    ):
        assert name in said
    project.run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.llm_cassette(path=None, record=None, ignore=(), unused='fail', speed=0, split=None,*"]
    )
    project.run("--fixtures").stdout.fnmatch_lines(
        ["llm_cassette -- *", "*Replay the model calls of this test*"]
    )
