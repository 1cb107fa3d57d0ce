"""Where the cassette of a test is: a name that is stable, that every file system takes, and its own."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import told


@pytest.fixture
def names(project):
    """The names of the cassettes of the tests of a module, in order."""
    project.write(
        "names.py",
        """
        from pytest_llmreplay._options import file_name

        def pytest_collection_modifyitems(items):
            print(*(f"NAME {file_name(item)}" for item in items), sep="\\n")
        """,
    )

    def of(source):
        project.tests(source)
        result = project.run("--collect-only", "-q", "-p", "names", "-p", "no:randomly")
        found = [line.removeprefix("NAME ") for line in result.outlines if line.startswith("NAME ")]
        assert len(set(map(str.casefold, found))) == len(found)
        assert all(
            len(name) < 140 and name.isascii() and not set(name) & set('/\\:*?"<>| ') for name in found
        )
        return found

    return of


def parametrized(decorators, names="a"):
    lines = "\n".join(f"@pytest.mark.parametrize({decorator})" for decorator in decorators)
    return f"{lines}\ndef test_it({names}): pass\n"


def test_a_test_is_named_by_its_classes_and_function(names):
    assert names(
        """
def test_it(): pass
class TestOne:
    def test_it(self): pass
    class TestInner:
        def test_it(self): pass
"""
    ) == ["test_it", "TestOne.test_it", "TestOne.TestInner.test_it"]


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        ('"a", ["paris", "oslo"]', ["test_it[paris]", "test_it[oslo]"]),
        ('"a", [1, True, None, 0.5]', ["test_it[1]", "test_it[True]", "test_it[None]", "test_it[0.5]"]),
        ('"a", [object()], ids=["first"]', ["test_it[first]"]),
        ('"a", [pytest.param(object(), id="first")]', ["test_it[first]"]),
        ('"a", ["gpt-5.5", "claude@2"]', ["test_it[gpt-5.5]", "test_it[claude@2]"]),
        ('"a", [""]', ["test_it[]"]),
        ('"a", [1], ids=[pytest.HIDDEN_PARAM]', ["test_it"]),
        ('argvalues=["x"], argnames=["a"]', ["test_it[x]"]),
    ],
)
def test_a_parameter_is_in_the_name_by_its_id(names, decorator, expected):
    assert names(parametrized([decorator])) == expected


def test_ids_that_file_systems_do_not_take_are_spelled_otherwise_and_stay_apart(names):
    found = names(
        parametrized([r'"a", ["a/b", "a\\b", "a:b", "a b", "a-b", "é", "e\n", "日本", "../../etc"]'])
    )

    assert found[4] == "test_it[a-b]"
    assert all(name.startswith("test_it[a-b]-") for name in found[:4])


def test_long_ids_are_cut_and_stay_apart(names):
    found = names(parametrized(['"a", [1, 2], ids=["x" * 300 + "1", "x" * 300 + "2"]']))

    assert [name[:30] for name in found] == ["test_it[" + "x" * 22] * 2


def test_equal_ids_are_told_apart_as_pytest_does(names):
    assert len(names(parametrized(['"a", ["x", "x", "", ""]']))) == 4


def test_decorators_may_be_stacked_in_any_order(names):
    city = '"city", ["paris", "oslo"]'
    model = '"model", [object(), object()], ids=["big", "small"]'
    pair = '"x, y", [(1, 2)]'
    first = names(parametrized([city, model, pair], "city, model, x, y"))
    other = names(parametrized([pair, model, city], "city, model, x, y"))

    assert sorted(first) == sorted(other)
    assert min(first) == "test_it[city=oslo,model=big,x+y=1-2]"


def test_stacked_parameters_with_swapped_values_stay_apart(names):
    assert names(parametrized(['"a", ["x", "y"]', '"b", ["x", "y"]'], "a, b")) == [
        "test_it[a=x,b=x]",
        "test_it[a=y,b=x]",
        "test_it[a=x,b=y]",
        "test_it[a=y,b=y]",
    ]


def test_ids_that_look_like_several_parameters_stay_apart(names):
    found = names(parametrized(['"a", ["x,b=y", "x"]', '"b", ["z", "y,b=z"]'], "a, b"))

    assert len(found) == 4


def test_where_one_of_several_ids_is_hidden_the_name_is_that_of_pytest(names):
    found = names(
        parametrized(['"a", [object(), "s"], ids=[pytest.HIDDEN_PARAM, "s"]', '"b", [1, 2]'], "a, b")
    )

    assert found == ["test_it[1]", "test_it[a=s,b=1]", "test_it[2]", "test_it[a=s,b=2]"]


def test_indirect_parameters_and_parametrized_fixtures_are_named_as_others(names):
    source = """
@pytest.fixture(params=["f1", "f2"])
def fixed(request): pass

@pytest.fixture
def a(request): pass

"""
    assert names(source + parametrized(['"a", ["x"], indirect=True'], "a")) == ["test_it[x]"]
    assert names(source + parametrized(['"a", ["x"], indirect=True'], "a, fixed")) == [
        "test_it[a=x,fixed=f1]",
        "test_it[a=x,fixed=f2]",
    ]


def test_parameters_of_a_class_and_of_a_hook_are_named_too(names, project):
    project.write(
        "conftest.py",
        """
        def pytest_generate_tests(metafunc):
            if "hooked" in metafunc.fixturenames:
                metafunc.parametrize("hooked", ["h"])
        """,
    )

    assert names(
        """
@pytest.mark.parametrize("a", ["x"])
class TestIt:
    def test_one(self, a): pass
    def test_two(self, a, hooked): pass
"""
    ) == ["TestIt.test_one[x]", "TestIt.test_two[a=x,hooked=h]"]


def test_cassettes_are_in_a_folder_beside_the_test_file(project):
    project.tests('def test_it(llm_cassette): ask("a")', "tests/unit/test_deep.py")

    project.record()

    assert project.cassettes() == {"tests/unit/cassettes/test_deep/test_it.yaml"}


def test_cassettes_are_in_the_configured_folder_below_the_root(project, monkeypatch):
    project.ini("llm_cassette_dir = recorded/cassettes")
    project.tests('def test_it(llm_cassette): ask("a")', "tests/test_it.py")
    monkeypatch.chdir(project.root / "tests")

    project.record()
    project.provider.close()

    assert project.cassettes() == {"recorded/cassettes/test_it/test_it.yaml"}
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_modules_of_one_name_have_cassettes_of_their_own_in_one_folder(project, mode):
    project.ini("llm_cassette_dir = cassettes")
    for folder in ("one", "two"):
        project.write(f"suite/{folder}/__init__.py", "")
        project.write("suite/__init__.py", "")
        project.tests(
            f'def test_it(llm_cassette): assert ask("{folder}") == "re {folder}"',
            f"suite/{folder}/test_it.py",
        )

    project.record(f"--import-mode={mode}", passed=2)

    assert project.cassettes() == {
        "cassettes/suite.one.test_it/test_it.yaml",
        "cassettes/suite.two.test_it/test_it.yaml",
    }
    project.run(f"--import-mode={mode}").assert_outcomes(passed=2)


def test_names_that_differ_in_case_only_are_refused_before_one_overwrites_the_other(project):
    project.tests("""
        @pytest.mark.parametrize("city", ["Oslo", "oslo"])
        def test_it(city, llm_cassette): ask(city)
    """)

    result = project.run("--llm-record=once", "-p", "no:randomly")

    result.assert_outcomes(passed=1, errors=1)
    assert "would be that of test_it.py::test_it[[]Oslo] too".replace("[[]", "[") in told(result)


def test_each_case_of_a_parametrized_test_replays_its_own_recording(project):
    project.tests("""
        @pytest.mark.parametrize("text", ["a/b", "a:b", "", "日本", "x" * 200])
        @pytest.mark.parametrize("again", [1, 2])
        def test_it(text, again, llm_cassette):
            assert ask(f"{text} {again}") == f"re {text} {again}"
    """)
    project.record(passed=10)
    project.provider.close()

    assert len(project.cassettes()) == 10
    project.run().assert_outcomes(passed=10)
