"""Every kind of test, and every place of it that may ask a model: functions, methods, async, fixtures."""

from __future__ import annotations

import pytest

HI = 'assert ask("hi") == "re hi"'
ASYNC_HI = 'assert await ask_async("hi") == "re hi"'

KINDS = {
    "fixture": f"def test_it(llm_cassette): {HI}",
    "marker": f"@pytest.mark.llm_cassette\ndef test_it(): {HI}",
    "marker and fixture": f"@pytest.mark.llm_cassette\ndef test_it(llm_cassette): {HI}",
    "usefixtures": f"@pytest.mark.usefixtures('llm_cassette')\ndef test_it(): {HI}",
    "module": f"pytestmark = pytest.mark.llm_cassette\ndef test_it(): {HI}",
    "class": f"@pytest.mark.llm_cassette\nclass TestIt:\n    def test_it(self): {HI}",
    "static method": f"@pytest.mark.llm_cassette\nclass TestIt:\n    @staticmethod\n    def test_it(): {HI}",
    "class method": f"@pytest.mark.llm_cassette\nclass TestIt:\n    @classmethod\n    def test_it(cls): {HI}",
    "setup_method": """
@pytest.mark.llm_cassette
class TestIt:
    def setup_method(self): self.said = ask("hi")
    def test_it(self): assert self.said == "re hi"
""",
    "unittest": f"""
import unittest
@pytest.mark.llm_cassette
class TestIt(unittest.TestCase):
    def setUp(self): assert ask("set up") == "re set up"
    def test_it(self): {HI}
    def tearDown(self): assert ask("tear down") == "re tear down"
""",
    "async unittest": f"""
import unittest
@pytest.mark.llm_cassette
class TestIt(unittest.IsolatedAsyncioTestCase):
    async def test_it(self): {ASYNC_HI}
""",
    "asyncio": f"@pytest.mark.asyncio\nasync def test_it(llm_cassette): {ASYNC_HI}",
    "asyncio in a shared loop": f"""
@pytest.mark.asyncio(loop_scope='module')
async def test_it(llm_cassette): {ASYNC_HI}
""",
    "asyncio fixture": """
import pytest_asyncio
@pytest_asyncio.fixture
async def said(): return await ask_async("hi")
@pytest.mark.asyncio
@pytest.mark.llm_cassette
async def test_it(said): assert said == "re hi"
""",
    "gather": """
@pytest.mark.asyncio
@pytest.mark.llm_cassette
async def test_it():
    assert await asyncio.gather(*(ask_async(n) for n in "abc")) == ["re a", "re b", "re c"]
""",
    "executor": """
@pytest.mark.asyncio
@pytest.mark.llm_cassette
async def test_it():
    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(ask, "a") == "re a"
    assert await loop.run_in_executor(None, ask, "b") == "re b"
""",
    "autouse fixture": """
pytestmark = pytest.mark.llm_cassette
@pytest.fixture(autouse=True)
def said(): return ask("hi")
def test_it(said): assert said == "re hi"
""",
    "fixture before the cassette": """
@pytest.fixture
def said(tmp_path, monkeypatch): return ask("hi")
def test_it(said, llm_cassette): assert len(llm_cassette.calls) == 1
""",
    "fixture that uses the cassette": """
@pytest.fixture
def said(llm_cassette): return ask("hi")
def test_it(said): assert said == "re hi"
""",
    "fixture with a teardown that asks nothing": """
@pytest.fixture
def agent():
    yield ask
    print("closed")
@pytest.mark.llm_cassette
def test_it(agent): assert agent("hi") == "re hi"
""",
    "fixture asked for by name": f"""
def test_it(request):
    request.getfixturevalue('llm_cassette')
    {HI}
""",
}


@pytest.mark.parametrize("source", KINDS.values(), ids=KINDS)
def test_it_is_recorded_and_replayed(project, source):
    project.tests(source)
    project.record()
    assert len(project.cassettes()) == 1
    project.provider.close()

    project.run().assert_outcomes(passed=1)


def test_async_tests_need_no_marker_in_auto_mode(project):
    project.ini("asyncio_mode = auto")
    project.tests(f"async def test_it(llm_cassette): {ASYNC_HI}")
    project.record()
    project.provider.close()

    project.run().assert_outcomes(passed=1)


def test_under_anyio_each_backend_has_its_cassette(project):
    source = f"""
@pytest.fixture
async def said(): return await ask_async("fixture")

@pytest.mark.anyio
@pytest.mark.llm_cassette
async def test_it(said, anyio_backend):
    assert said == "re fixture"
    {ASYNC_HI}
"""
    project.tests(source)
    project.record("-p", "no:asyncio", passed=2)
    project.provider.close()

    assert project.cassettes() == {
        "cassettes/test_it/test_it[asyncio].yaml",
        "cassettes/test_it/test_it[trio].yaml",
    }
    project.run("-p", "no:asyncio").assert_outcomes(passed=2)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_refusal_fails_an_async_test_and_its_fixture(project, backend):
    project.tests(f"""
        pytestmark = [pytest.mark.anyio, pytest.mark.llm_cassette]

        @pytest.fixture
        def anyio_backend(): return "{backend}"

        @pytest.fixture
        async def said(): return await ask_async("hi")

        async def test_one(said): pass

        async def test_two(): await ask_async("hi")

        async def test_three(): pass
    """)

    result = project.run("-p", "no:asyncio")

    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["E*UnmatchedRequest: No recorded exchange answers this request."] * 2)


def test_tests_in_one_loop_have_cassettes_of_their_own(project):
    project.ini("asyncio_mode = auto", "asyncio_default_test_loop_scope = session")
    project.tests("""
        async def test_one(llm_cassette): assert await ask_async("one") == "re one"
        async def test_two(llm_cassette): assert await ask_async("two") == "re two"
        async def test_three(): assert await ask_async("three") == "re three"
    """)
    project.record(passed=3)

    assert project.prompts("test_it/test_one") == ["one"]
    assert project.prompts("test_it/test_two") == ["two"]
    project.run().assert_outcomes(passed=3)


def test_fixtures_of_a_wider_scope_are_none_of_its_business(project):
    project.tests("""
        @pytest.fixture(scope="session")
        def session_said():
            yield ask("session")
            ask("session over")

        @pytest.fixture(scope="module", autouse=True)
        def module_said():
            return ask("module")

        @pytest.mark.llm_cassette
        def test_it(session_said):
            assert ask("test") == "re test"
    """)
    project.record()

    assert project.prompts() == ["test"]
    project.run().assert_outcomes(passed=1)
    # They ask live in both runs: no recording stands between.
    assert [project.asked.count(text) for text in ("session", "module", "session over", "test")] == [
        2,
        2,
        2,
        1,
    ]


def test_a_refusal_in_a_set_up_is_an_error_that_tells_of_it_once(project):
    project.tests("""
        @pytest.fixture
        def said(): return ask("hi")

        @pytest.mark.llm_cassette
        def test_it(said): pass
    """)

    result = project.run()

    result.assert_outcomes(errors=1)
    assert result.stdout.str().count("No recorded exchange answers this request.") == 1


def test_a_refusal_that_a_set_up_swallowed_fails_the_test(project):
    project.tests("""
        @pytest.fixture
        def said(): return pooled("hi")

        @pytest.mark.llm_cassette
        def test_it(said): pass
    """)

    project.run().assert_outcomes(failed=1)


def test_a_refusal_before_another_error_of_a_set_up_is_told_with_it(project):
    project.tests("""
        @pytest.fixture
        def said():
            pooled("hi")
            raise OSError("no such thing")

        @pytest.mark.llm_cassette
        def test_it(said): pass
    """)

    result = project.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E*OSError: no such thing", "E*1 request had to be refused*"])


def test_a_test_that_is_skipped_complains_of_nothing(project):
    project.tests('def test_it(llm_cassette): ask("a"), ask("b")')
    project.record()
    project.tests("""
        import unittest

        pytestmark = pytest.mark.llm_cassette("cassettes/test_it/test_it.yaml")

        def test_inside():
            ask("a")
            pytest.skip("enough")

        def test_after_a_refusal():
            pooled("c")
            pytest.skip("enough")

        @pytest.fixture
        def skips():
            pytest.skip("enough")

        def test_in_a_set_up(skips): pass

        @pytest.mark.skip
        def test_never(): pass

        class TestIt(unittest.TestCase):
            def test_it(self):
                self.skipTest("enough")
    """)

    project.run().assert_outcomes(skipped=5)


def test_an_expected_failure_stays_one(project):
    project.tests("""
        @pytest.mark.xfail(strict=True)
        def test_refused(llm_cassette):
            ask("hi")

        @pytest.mark.xfail(strict=True)
        def test_swallowed(llm_cassette):
            pooled("hi")

        @pytest.mark.xfail(strict=True)
        def test_other(llm_cassette):
            assert False

        def test_inside(llm_cassette):
            pytest.xfail("known")

        @pytest.mark.xfail(strict=True, raises=ValueError)
        def test_of_another_kind(llm_cassette):
            ask("hi")
    """)

    project.run().assert_outcomes(xfailed=4, failed=1)


def test_a_unittest_that_fails_tells_of_its_refusals(project):
    project.tests("""
        import unittest

        @pytest.mark.llm_cassette
        class TestIt(unittest.TestCase):
            def test_raised(self): ask("hi")
            def test_swallowed(self): pooled("hi")
            def test_swallowed_and_failed(self): self.assertEqual(pooled("hi"), "re hi")
    """)

    result = project.run("-p", "no:randomly")

    result.assert_outcomes(failed=3)
    assert result.stdout.str().count("No recorded exchange answers this request.") == 3
    result.stdout.fnmatch_lines(
        ["E*UnmatchedRequest: No*", "1 request had to be refused*", "E*AssertionError*", "E*1 request had*"]
    )


def test_a_refusal_within_a_subtest_is_told_once(project):
    project.tests("""
        def test_it(llm_cassette, subtests):
            with subtests.test("one"):
                ask("hi")
    """)

    result = project.run()

    assert result.ret == 1
    assert result.stdout.str().count("No recorded exchange answers this request.") == 1


def test_doctests_and_items_of_other_kinds_are_unharmed(project):
    project.write(
        "test_doc.py",
        '''
        """
        >>> 1 + 1
        2
        """
        import pytest
        pytestmark = pytest.mark.llm_cassette
        def test_it(): pass
    ''',
    )
    project.write("test_text.txt", ">>> getfixture('llm_cassette').calls\n[]\n")
    project.write("test_data.own", "")
    project.write(
        "conftest.py",
        """
        import pytest

        class Own(pytest.Item):
            def runtest(self): pass

        class File(pytest.File):
            def collect(self):
                item = Own.from_parent(self, name="own")
                item.add_marker("llm_cassette")
                yield item

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".own":
                return File.from_parent(parent, path=file_path)
    """,
    )

    project.run("--doctest-modules", "test_doc.py", "test_text.txt", "test_data.own").assert_outcomes(
        passed=4
    )


def test_a_test_that_runs_again_starts_anew(project):
    project.write(
        "conftest.py",
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, log=False, nextitem=nextitem)
            runtestprotocol(item, log=True, nextitem=nextitem)
            return True
    """,
    )
    project.tests(f"def test_it(llm_cassette): {HI}")
    project.run("--llm-record=all").assert_outcomes(passed=1)

    project.run().assert_outcomes(passed=1)
