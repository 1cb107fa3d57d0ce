"""Cassettes that tests share: of a class, a module or a run, in one process or in several."""

from __future__ import annotations

import textwrap

import pytest

SHARED = 'pytestmark = pytest.mark.llm_cassette("shared.yaml", scope="module")\n'


@pytest.fixture
def recorded(project):
    """A cassette of three answers: two to the same question, told one after the other."""
    project.tests('@pytest.mark.llm_cassette("shared.yaml")\ndef test_it(): ask("a"), ask("b"), ask("b")')
    project.record()
    return project


def test_the_tests_of_a_module_take_from_one_cassette(recorded):
    recorded.tests(
        SHARED
        + 'def test_one(): assert ask("b") == "re b"\n'
        + 'def test_two(): ask("b")\n'
        + 'def test_three(llm_cassette):\n    ask("a")\n    assert len(llm_cassette.calls) == 3\n'
    )

    result = recorded.run("-p", "no:randomly")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["llmreplay: 3 exchanges replayed, 0 recorded, *"])


def test_what_they_all_left_is_told_at_the_end_of_the_last_one(recorded):
    recorded.tests(SHARED + 'def test_one(): ask("b")\n' + 'def test_two(): ask("a")\n')

    result = recorded.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*exchange 3*"])


@pytest.mark.parametrize(
    "arguments", [["-k", "one"], ["test_it.py::test_one"], ["--deselect=test_it.py::test_two"]]
)
def test_a_part_of_them_may_leave_what_is_the_others(recorded, arguments):
    recorded.tests(SHARED + 'def test_one(): ask("b")\n' + 'def test_two(): ask("a")\n')

    result = recorded.run(*arguments)
    assert result.parseoutcomes()["passed"] == 1
    assert "errors" not in result.parseoutcomes()


def test_so_may_a_test_that_fails_or_is_skipped(recorded):
    recorded.tests(SHARED + 'def test_one(): ask("b")\n' + '@pytest.mark.skip\ndef test_two(): ask("a")\n')
    recorded.run().assert_outcomes(passed=1, skipped=1)
    recorded.tests(SHARED + 'def test_one(): ask("b")\n' + "def test_two(): assert 0\n")
    recorded.run().assert_outcomes(passed=1, failed=1)


def test_a_refusal_that_one_of_them_swallowed_fails_that_one(recorded):
    recorded.tests(
        SHARED
        + 'def test_one(): ask("a"), ask("b")\n'
        + 'def test_two():\n    try: ask("unheard of")\n    except BaseException: pass\n'
        + 'def test_three(): ask("b")\n'
    )

    recorded.run().assert_outcomes(passed=2, failed=1)


def test_what_they_record_is_written_when_the_last_one_is_over(project):
    project.tests(SHARED + 'def test_one(): ask("a")\n' + 'def test_two(): ask("b")\n')
    project.record(passed=2)
    project.run().assert_outcomes(passed=2)

    assert (project.root / "shared.yaml").read_text().count("\n---") == 2


def test_what_one_of_them_spoilt_is_kept_aside(project):
    project.tests(SHARED + 'def test_one(): ask("a")\n' + 'def test_two():\n    ask("b")\n    assert 0\n')

    result = project.run("--llm-record=once")
    result.assert_outcomes(passed=1, failed=1)
    assert not (project.root / "shared.yaml").exists()
    result.stdout.fnmatch_lines(
        ["llmreplay: A test that shares its cassette did not pass: what it recorded is kept *"]
    )
    assert (project.root / "shared.failed.yaml").read_text().count("\n---") == 2


def test_a_class_and_a_run_can_share_as_well(recorded):
    recorded.tests(
        '@pytest.mark.llm_cassette("shared.yaml", scope="class")\n'
        "class TestIt:\n"
        '    def test_one(self): ask("a"), ask("b")\n'
        '    def test_two(self): ask("b")\n'
    )
    recorded.run().assert_outcomes(passed=2)
    recorded.tests(
        'pytestmark = pytest.mark.llm_cassette("shared.yaml", scope="session")\n'
        'def test_one(): ask("a"), ask("b")\n'
        'def test_two(): ask("b")\n'
    )
    recorded.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        (
            'scope="galaxy", path="x.yaml"',
            "scope of the marker llm_cassette is 'galaxy'; expected one of function, ",
        ),
        ('scope="module"', "has scope='module': give the cassette a path, too"),
        ('"x.yaml", scope="class"', "has scope='class', and this test is in no class"),
    ],
)
def test_a_scope_that_makes_no_sense_is_told(project, marker, told):
    project.tests(f"@pytest.mark.llm_cassette({marker})\ndef test_it(): pass")

    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{told}*"])


def test_tests_that_share_want_the_same_options(recorded):
    recorded.tests(
        '@pytest.mark.llm_cassette("shared.yaml", scope="module")\ndef test_one(): ask("a")\n'
        '@pytest.mark.llm_cassette("shared.yaml", scope="module", speed=2)\ndef test_two(): ask("b")\n'
    )
    result = recorded.run()
    result.stdout.fnmatch_lines(["*shared by the tests of a module, and this one has other options: speed*"])


@pytest.mark.parametrize("mode", ["once", "rewrite"])
def test_several_processes_record_into_one_cassette(project, mode):
    names = [f"question {n}" for n in range(8)]
    project.tests(
        f"@pytest.mark.parametrize('text', {names})\n"
        '@pytest.mark.llm_cassette("shared.yaml", unused="ignore")\n'
        'def test_it(text): assert ask(text) == f"re {text}"\n'
    )
    if mode == "rewrite":
        project.record(passed=8)

    result = project.run_alone("-n2", f"--llm-record={mode}", "-p", "no:randomly")
    result.assert_outcomes(passed=8)
    assert (project.root / "shared.yaml").read_text().count("\n---") == 8

    replayed = project.run_alone("-n2", "-p", "randomly")
    replayed.assert_outcomes(passed=8)
    replayed.stdout.fnmatch_lines(["llmreplay: 8 exchanges replayed, 0 recorded, 0 live calls refused*"])


# what no test uses


def orphan(project):
    folder = project.root / "cassettes" / "test_it"
    folder.mkdir(parents=True, exist_ok=True)
    text = (project.root / "shared.yaml").read_text()
    (folder / "test_gone.yaml").write_text(text)
    (folder / "test_it.failed.yaml").write_text(text)
    return "cassettes/test_it/test_gone.yaml: no test uses this cassette"


USING = (
    '@pytest.mark.llm_cassette("shared.yaml", unused="ignore")\ndef test_one(): ask("a")\n'
    '@pytest.mark.llm_cassette("shared.yaml", unused="ignore")\ndef test_two(): ask("b")\n'
)


@pytest.mark.parametrize("processes", [[], ["-n2"]], ids=["alone", "xdist"])
def test_orphans_and_exchanges_that_no_test_asks_for_are_told_for_the_whole_run(recorded, processes):
    told = orphan(recorded)
    recorded.tests(USING)

    for mode, code in (("warn", 0), ("fail", 1)):
        result = recorded.run(f"--llm-orphans={mode}", *processes)
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines_random(
            [f"llmreplay: {told}", "llmreplay: shared.yaml: no test asks for exchange 3 of 3"]
        )
        result.stdout.no_fnmatch_line("*failed.yaml*")
        assert result.ret == code


def test_a_run_in_which_everything_is_used_has_no_orphans(recorded):
    by_hand = """
        def test_by_hand():
            from llmreplay import use_cassette
            with use_cassette("shared.yaml", unused="ignore"): ask("b"), ask("b")
    """
    recorded.tests(USING + textwrap.dedent(by_hand))
    result = recorded.run("--llm-orphans=fail")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*no test*")


@pytest.mark.parametrize("arguments", [["-k", "one"], ["test_it.py::test_one"]])
def test_a_part_of_the_tests_accuses_nothing(recorded, arguments):
    orphan(recorded)
    recorded.tests(USING)

    result = recorded.run("--llm-orphans=fail", *arguments)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["llmreplay: whether cassettes are orphaned is told when all tests run"])


def test_a_cassette_that_is_only_loaded_is_no_orphan(recorded):
    told = orphan(recorded)
    recorded.tests(
        USING
        + 'def test_three():\n    from llmreplay import load\n    load("cassettes/test_it/test_gone.yaml")'
    )

    result = recorded.run("--llm-orphans=warn")
    result.stdout.no_fnmatch_line(f"*{told}*")


def test_of_a_file_only_its_own_cassettes_are_looked_at(recorded):
    told = orphan(recorded)
    other = recorded.root / "cassettes" / "test_other"
    other.mkdir()
    (other / "test_gone.yaml").write_text("")
    recorded.tests(USING)

    result = recorded.run("--llm-orphans=warn", "test_it.py")
    result.stdout.fnmatch_lines([f"llmreplay: {told}"])
    result.stdout.no_fnmatch_line("*test_other*")


# age


def test_a_cassette_that_is_too_old_fails_its_test_until_it_is_recorded_again(recorded):
    path = recorded.root / "shared.yaml"
    path.write_text(path.read_text().replace('at: "20', 'at: "19'))
    recorded.tests(
        '@pytest.mark.llm_cassette("shared.yaml", max_age="90d")\ndef test_it(): ask("a"), ask("b"), ask("b")'
    )

    result = recorded.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*shared.yaml is older than it may be.", "*allowed: 90 days", "*too old: 3 of 3 *"]
    )
    recorded.run("--llm-record=rewrite").assert_outcomes(passed=1)
    recorded.run().assert_outcomes(passed=1)
    recorded.run("--llm-max-age=1w").assert_outcomes(passed=1)
    result = recorded.run("--llm-max-age=soon")
    result.stdout.fnmatch_lines(["*max_age is 'soon'; expected a span of time such as*"])
