"""The pytest side of llmreplay: options, a marker, fixtures, and a line in the report.

Rules:

* Only wiring. What happens is decided in `llmreplay`, which is imported when the first test asks
  for it: a run that does not use it pays nothing, and `pytest --cov=llmreplay` sees its modules.
* What a session has to complain of fails the test itself, in its call phase, whatever the code
  under test swallowed. The session stays open until the fixtures are torn down, so that nothing
  they do reaches the network either.
* Whether a test passed is what pytest reports of it: plugins, subtests and xfail have their say.

It is longer than most modules: hooks and fixtures have to stand in the module that pytest loads, and a
second one would be an import more for every run that uses nothing of it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from llmreplay import Cassette, Script, ScriptedModel
    from llmreplay.clock import Clock
    from llmreplay.session import Session
    from pytest_llmreplay._orphans import Account

RECORD_MODES = ("none", "once", "new_episodes", "all", "rewrite")
UNUSED = ("fail", "warn", "ignore")
NETWORK = ("block", "allow")
ORPHANS = ("ignore", "warn", "fail")
_MARKER = (
    "llm_cassette(path=None, record=None, ignore=(), unused='fail', speed=0, split=None, only=None, "
    "allowed_hosts=(), redact=(), keep_headers=(), max_age=None, scope='function'): "
    "replay the model calls of a test from a cassette, or record them"
)

_SESSIONS = pytest.StashKey[list["Session"]]()
_OUTCOMES = pytest.StashKey[list[str]]()
_COUNTS = pytest.StashKey[dict[str, int]]()
_OWNERS = pytest.StashKey[dict[str, str]]()
_RECORDED = pytest.StashKey[set["Path"]]()
_HOLDS = pytest.StashKey[bool]()
_DESELECTED = pytest.StashKey[bool]()
_KEPT = pytest.StashKey[list[str]]()
_ACCOUNT = pytest.StashKey["Account"]()

# The test that is set up or called. To ask pytest for `request` would cost a test as much as its whole
# session does, since pytest inspects a function anew each time.
_running = threading.local()

# What a test asks for that has a session.
_ASKING = frozenset({"llm_cassette", "llm_script", "llm_model"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; each has an ini key of the same name."""
    group = parser.getgroup("llmreplay", "record and replay of calls to language models")
    group.addoption(
        "--llm-record",
        choices=RECORD_MODES,
        help="what may be recorded (default: none, replay only)",
    )
    group.addoption(
        "--llm-unused",
        choices=UNUSED,
        help="what recorded exchanges do that a passing test did not ask for (default: fail)",
    )
    group.addoption(
        "--llm-network",
        choices=NETWORK,
        help="whether tests that replay may reach other hosts (default: block)",
    )
    group.addoption(
        "--llm-allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="a host that tests may reach live while they replay; may be given several times",
    )
    group.addoption(
        "--llm-orphans",
        choices=ORPHANS,
        help="what cassettes do that no test uses, and exchanges that none asks for (default: ignore)",
    )
    group.addoption(
        "--llm-max-age",
        metavar="SPAN",
        help="how old a recorded exchange may be that is replayed, such as 12h, 90d or 8w",
    )
    parser.addini("llm_record", f"one of {', '.join(RECORD_MODES)}", default="none")
    parser.addini("llm_unused", f"one of {', '.join(UNUSED)}", default="fail")
    parser.addini("llm_network", f"one of {', '.join(NETWORK)}", default="block")
    parser.addini("llm_orphans", f"one of {', '.join(ORPHANS)}", default="ignore")
    parser.addini(
        "llm_max_age", "how old a recorded exchange may be that is replayed, such as 90d", default=""
    )
    parser.addini("llm_allow_host", "hosts that tests may reach live while they replay", type="linelist")
    parser.addini(
        "llm_vcr",
        "stand in for pytest-recording: its markers, fixtures and options",
        type="bool",
        default=False,
    )
    parser.addini(
        "llm_share_tls",
        "let clients that are built in replay share one TLS context (default: true)",
        type="bool",
        default=True,
    )
    parser.addini("llm_redact", "regular expressions of secrets of your own", type="linelist")
    parser.addini(
        "llm_cassette_dir",
        "where cassettes are, relative to the root (default: the folder `cassettes` beside each test file)",
        default="",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Stand in for pytest-recording where the ini file says so, before any conftest is read."""
    if early_config.getini("llm_vcr"):
        from pytest_llmreplay import _vcr  # noqa: PLC0415  what else it would bring is not asked for

        _vcr.refuse_peers(early_config.pluginmanager)
        early_config.pluginmanager.register(_vcr, "llmreplay-vcr")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and refuse ini values that mean nothing."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_COUNTS] = dict.fromkeys(("replayed", "scripted", "recorded", "refused", "tokens"), 0)
    config.stash[_OWNERS] = {}
    config.stash[_RECORDED] = set()
    config.stash[_KEPT] = []
    config.stash[_HOLDS] = False
    for name, choices in (
        ("llm_record", RECORD_MODES),
        ("llm_unused", UNUSED),
        ("llm_network", NETWORK),
        ("llm_orphans", ORPHANS),
    ):
        value = config.getini(name)
        if value not in choices:
            raise pytest.UsageError(f"ini key {name} is {value!r}; expected one of {', '.join(choices)}")
    if _orphans_wanted(config) != "ignore":
        from pytest_llmreplay import _orphans  # noqa: PLC0415  only a run that asks for it pays

        config.stash[_ACCOUNT] = _orphans.Account(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take edges and the account of cassettes out again: a process may have more than one run."""
    if config.stash.get(_HOLDS, False):
        _let_go(config)
    if account := _account(config):
        account.close()


@pytest.hookimpl(trylast=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over folders that hold cassettes and nothing else."""
    if collection_path.name != "cassettes" and not _is_their_root(collection_path, config):
        return None
    from pytest_llmreplay import _folders  # noqa: PLC0415  see the rules on top

    return _folders.has_only_cassettes(collection_path) or None


def _is_their_root(path: Path, config: pytest.Config) -> bool:
    configured: str = config.getini("llm_cassette_dir")
    return bool(configured) and path == config.rootpath / configured


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note that a part of the tests does not run: what nobody asks for may be theirs."""
    config = items[0].config
    config.stash[_DESELECTED] = True
    if account := _account(config):
        account.deselected(len(items))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note whose cassettes are to be accounted for."""
    if account := _account(session.config):
        account.collected(session.items)


def _account(config: pytest.Config) -> Account | None:
    return config.stash.get(_ACCOUNT, None)


def _let_go(config: pytest.Config) -> None:
    from pytest_llmreplay import _life  # noqa: PLC0415  it is there: it holds on

    _life.let_go(config)


def _orphans_wanted(config: pytest.Config) -> str:
    return str(config.getoption("llm_orphans") or config.getini("llm_orphans"))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give every test with the marker the fixture, before its other fixtures of function scope."""
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is None:
        return
    if "llm_cassette" not in names and item.get_closest_marker("llm_cassette") is None:
        return
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    others = [name for name in names if name != "llm_cassette"]
    wider = (
        name == "request" or (definitions.get(name) and definitions[name][-1].scope != "function")
        for name in others
    )
    at = next((place for place, is_wider in enumerate(wider) if not is_wider), len(others))
    # A list of its own: all cases of a parametrized test share the one that pytest made.
    vars(item)["fixturenames"] = [*others[:at], "llm_cassette", *others[at:]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Tell of refusals in a set-up that failed, as in a test."""
    __tracebackhide__ = True
    if item.config.stash[_HOLDS] and _ASKING.isdisjoint(getattr(item, "fixturenames", ())):
        _let_go(item.config)
    before, _running.item = getattr(_running, "item", None), item
    try:
        return (yield)
    except BaseException as error:
        failed(item, error)
        raise
    finally:
        _running.item = before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge the session when the test is over, while it can still be failed."""
    __tracebackhide__ = True
    before, _running.item = getattr(_running, "item", None), item
    try:
        result = yield
    except BaseException as error:
        failed(item, error)
        raise
    finally:
        _running.item = before
    # Not before: a test may ask for a session in its course.
    sessions = item.stash.get(_SESSIONS, [])
    if not sessions:
        return result
    # A unittest.TestCase does not raise: pytest keeps here what it will report.
    if kept := getattr(item, "_excinfo", None):
        failed(item, kept[0].value)
        kept[0] = pytest.ExceptionInfo.from_exception(kept[0].value)
        return result
    lenient = "failed" in item.stash[_OUTCOMES]
    complaints = [str(told) for session in sessions if (told := session.complaint(failed=lenient))]
    if complaints:
        from pytest_llmreplay import _shared  # noqa: PLC0415  see the rules on top

        for session in sessions:
            _shared.judge(session)
        pytest.fail("\n\n".join(complaints), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what pytest makes of a test, and of each of its subtests."""
    sessions = item.stash.get(_SESSIONS, [])
    if not sessions or call.when != "call":
        return (yield)
    if call.excinfo is not None:
        for session in sessions:
            session.acknowledge(call.excinfo.value)
    report = yield
    expected = report.skipped and hasattr(report, "wasxfail")
    item.stash[_OUTCOMES].append("xfailed" if expected else report.outcome)
    return report


@pytest.fixture(scope="session")
def llm_redact(pytestconfig: pytest.Config) -> Iterable[Any]:
    """Patterns of secrets of your own, and functions from text to text: override it to add some."""
    patterns: list[str] = pytestconfig.getini("llm_redact")
    return patterns


@pytest.fixture
def llm_cassette() -> Iterator[Cassette]:
    """Replay the model calls of this test from its cassette, or record them; see `llmreplay.use_cassette`."""
    __tracebackhide__ = True
    from pytest_llmreplay import _life  # noqa: PLC0415  see the rules on top

    item = _this_test("llm_cassette")
    session = _life.open_cassette(item)
    try:
        yield session.cassette
    finally:
        _life.close(item, session)


@pytest.fixture
def llm_script() -> Iterator[Script]:
    """Answer the model calls of this test from turns written by hand; see `llmreplay.use_script`."""
    __tracebackhide__ = True
    from llmreplay import Script  # noqa: PLC0415  see the rules on top
    from pytest_llmreplay import _life  # noqa: PLC0415

    script, item = Script(), _this_test("llm_script")
    session = _life.open_script(item, script)
    try:
        yield script
    finally:
        _life.close(item, session)


@pytest.fixture
def llm_model() -> Iterator[ScriptedModel]:
    """Give this test a model that says what it is told to, turn by turn; see `llmreplay.ScriptedModel`."""
    __tracebackhide__ = True
    from llmreplay import ScriptedModel  # noqa: PLC0415  see the rules on top
    from pytest_llmreplay import _life  # noqa: PLC0415

    model, item = ScriptedModel(), _this_test("llm_model")
    _life.begin(item, model.session)
    try:
        yield model
    finally:
        _life.close(item, model.session)


def _this_test(fixture: str) -> pytest.Item:
    item: pytest.Item | None = getattr(_running, "item", None)
    if item is None:
        raise pytest.UsageError(
            f"{fixture} is for a test: ask for it in the set-up of one, or in the test itself"
        )
    return item


@pytest.fixture
def llm_clock() -> Iterator[Clock]:
    """Make every sleep of this test instant, and list what was slept; see `llmreplay.clock.Clock`."""
    from llmreplay.clock import Clock  # noqa: PLC0415  see the rules on top

    with Clock() as clock:
        yield clock


def failed(item: pytest.Item, error: BaseException) -> None:
    """Have an error that fails a test tell what its sessions refused."""
    sessions = item.stash.get(_SESSIONS, [])
    if not sessions:
        return
    from pytest_llmreplay import _verdict  # noqa: PLC0415  see the rules on top

    for session in sessions:
        _verdict.tell(session, error, item.config)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under xdist, send a worker's numbers to the controller; judge what no test used."""
    config = session.config
    account = _account(config)
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output["llmreplay"] = config.stash[_COUNTS]
        output["llmreplay-kept"] = config.stash[_KEPT]
        if account is not None:
            output["llmreplay-account"] = account.sent()
    elif account is not None and _orphans_wanted(config) == "fail" and account.accuses():
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Under xdist, add a worker's numbers to those of the others."""
    counts = node.config.stash[_COUNTS]
    # A worker that crashed has no output.
    for name, number in getattr(node, "workeroutput", {}).get("llmreplay", {}).items():
        counts[name] = counts.get(name, 0) + number
    node.config.stash[_KEPT] += getattr(node, "workeroutput", {}).get("llmreplay-kept", [])
    sent = getattr(node, "workeroutput", {}).get("llmreplay-account")
    if sent is not None and (account := _account(node.config)):
        account.add(sent)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in one line what was replayed, recorded and refused."""
    counts = config.stash[_COUNTS]
    account = _account(config)
    for line in [*config.stash[_KEPT], *(account.told() if account else ())]:
        terminalreporter.write_line(f"llmreplay: {line}")
    if not any(counts.values()):
        return
    told = [
        _count(counts.get("replayed", 0), "exchange") + " replayed",
        f"{counts['recorded']} recorded",
        _count(counts["refused"], "live call") + " refused",
    ]
    if counts.get("scripted"):
        told.insert(1, f"{counts['scripted']} scripted")
    if counts["tokens"]:
        told.append(f"{counts['tokens']:,} tokens served from recordings")
    terminalreporter.write_line(f"llmreplay: {', '.join(told)}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
