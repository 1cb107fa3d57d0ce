"""The fixtures, markers and options of pytest-recording, for suites that were written for it.

It is registered if the ini file says `llm_vcr = true`, and only then: without that key nothing here is
loaded, and pytest-recording goes its own way beside us.

Rules:

* Names, scopes and precedences are those of pytest-recording's documentation, and its defaults too: a
  cassette is saved whether or not its test passes, and what was not played is no failure.
* Only wiring. Names and options of a cassette are found in `_vcr_options`, the network is blocked in
  `_vcr_network`, and what is played and recorded is decided in `llmreplay.cassette.vcr_tape`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmreplay import _COUNTS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from llmreplay.cassette.vcr_tape import VcrTape
    from llmreplay.session import TapedSession

RECORD_MODES = ("once", "new_episodes", "none", "all", "rewrite")

_PEERS = {
    "pytest_recording": ("pytest-recording", "recording"),
    "cassetter": ("cassetter", "cassetter"),
    "pytest_vcr": ("pytest-vcr", "vcr"),
}
_MARKERS = (
    "vcr(*paths, **options): play or record the HTTP of a test; see VCR.use_cassette for the options",
    "block_network(allowed_hosts=()): let the test reach no host but those that match",
    "default_cassette(name): the name of the cassette of a test",
    "allowed_hosts(hosts): regular expressions of hosts that may be reached",
)

_FAILED = pytest.StashKey[bool]()
_TAPE = pytest.StashKey["VcrTape"]()


class Hooks:
    """What a suite may implement."""

    @staticmethod
    def pytest_recording_configure(config: pytest.Config, vcr: Any) -> None:
        """Configure the `vcr.VCR` of a test: register matchers, serializers, a persister."""


def refuse_peers(manager: pytest.PytestPluginManager) -> None:
    """Raise `pytest.UsageError` if another plugin of this kind is active."""
    for _, plugin in manager.list_name_plugin():
        peer = _PEERS.get(str(getattr(plugin, "__name__", "")).partition(".")[0])
        if peer is not None:
            package, name = peer
            raise pytest.UsageError(
                f"llm_vcr = true stands in for pytest-recording, and {package} is active: "
                f"both would record each test.\n\nTo fix this:\n"
                f"  * Done with {package}? pip uninstall {package}, or addopts = -p no:{name}\n"
                "  * Not yet? Take llm_vcr out of the ini file."
            )


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hook that suites implement."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of pytest-recording."""
    group = parser.getgroup("recording", "record and replay of HTTP, as pytest-recording has it")
    group.addoption("--record-mode", choices=RECORD_MODES, help="what may be recorded (default: none)")
    group.addoption(
        "--block-network",
        action="store_true",
        default=False,
        help="let no test reach the network but those that record",
    )
    group.addoption(
        "--allowed-hosts",
        metavar="REGEX,…",
        help="hosts that may be reached although the network is blocked",
    )
    group.addoption(
        "--disable-recording",
        action="store_true",
        default=False,
        help="neither play nor record: all tests ask live",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and watch pycurl, before a test module can take hold of it."""
    from pytest_llmreplay import _vcr_network  # noqa: PLC0415  the command line may yet turn all this off

    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    _vcr_network.watch_pycurl()


def pytest_unconfigure() -> None:
    """Leave pycurl as it was."""
    from pytest_llmreplay import _vcr_network  # noqa: PLC0415  likewise

    _vcr_network.release_pycurl()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether a test failed, and tell what could not be played if its error does not."""
    tape = item.stash.get(_TAPE, None)
    if tape is not None and call.excinfo is not None and tape.refused:
        shown = set(_chain(call.excinfo.value))
        for refused in tape.refused:
            if refused not in shown:
                item.add_report_section(call.when, "llmreplay", str(refused))
        tape.refused.clear()
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.fixture(scope="session")
def record_mode(request: pytest.FixtureRequest) -> str:
    """The record mode of the command line; `none` without one."""
    return request.config.getoption("--record-mode") or "none"


@pytest.fixture(scope="session")
def disable_recording(request: pytest.FixtureRequest) -> bool:
    """Whether nothing is to be played or recorded."""
    return bool(request.config.getoption("--disable-recording"))


@pytest.fixture
def vcr_config() -> dict[str, Any]:
    """Options for all cassettes: override it, in any scope."""
    return {}


@pytest.fixture(scope="module")
def vcr_cassette_dir(request: pytest.FixtureRequest) -> str:
    """The folder of the cassettes of a module: override it, in any scope up to its own."""
    return str(request.path.parent / "cassettes" / request.path.stem)


@pytest.fixture
def vcr_markers(request: pytest.FixtureRequest) -> list[pytest.Mark]:
    """The `vcr` markers of a test, the nearest first."""
    return list(request.node.iter_markers(name="vcr"))


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest) -> str:
    """The name of a test's own cassette, without the folder; its ending may be left out."""
    from pytest_llmreplay import _vcr_options  # noqa: PLC0415  tests without a cassette need none of it

    return _vcr_options.default_name(request.node, request.cls)


@pytest.fixture
def allowed_hosts(request: pytest.FixtureRequest) -> list[str] | None:
    """Regular expressions of hosts that may be reached although the network is blocked."""
    marker = request.node.get_closest_marker("block_network")
    hosts: Any = (
        (marker.kwargs.get("allowed_hosts") if marker else None)
        or request.config.getoption("--allowed-hosts")
        or request.getfixturevalue("vcr_config").get("allowed_hosts")
    )
    return hosts.split(",") if isinstance(hosts, str) else hosts


@pytest.fixture(autouse=True)
def block_network(
    request: pytest.FixtureRequest, record_mode: str, vcr_markers: list[pytest.Mark]
) -> Iterator[None]:
    """Block the network for tests that ask for it and do not record."""
    marker = request.node.get_closest_marker("block_network")
    if marker is None and not request.config.getoption("--block-network"):
        yield
        return
    from pytest_llmreplay import _vcr_network, _vcr_options  # noqa: PLC0415  likewise

    if marker is not None:
        _vcr_options.check_block_network(marker)
    mode = record_mode
    if vcr_markers and request.config.getoption("--record-mode") is None:
        merged = _vcr_options.merged(request.getfixturevalue("vcr_config"), vcr_markers)
        mode = merged.get("record_mode", "none")
    if vcr_markers and mode != "none":
        yield
        return
    with _vcr_network.blocked(request.getfixturevalue("allowed_hosts")):
        yield


@pytest.fixture(autouse=True)
def vcr(  # noqa: PLR0913, PLR0917  fixtures are arguments
    request: pytest.FixtureRequest,
    vcr_markers: list[pytest.Mark],
    vcr_cassette_dir: str,
    record_mode: str,
    disable_recording: bool,  # noqa: FBT001  a fixture
    pytestconfig: pytest.Config,
) -> Iterator[VcrTape | None]:
    """The cassette of a test with the marker `vcr`, as vcrpy's `Cassette`; None without one."""
    if disable_recording or not vcr_markers:
        yield None
        return
    from pytest_llmreplay import _vcr_options  # noqa: PLC0415  likewise

    item = request.node
    tape, keeps_failures = _vcr_options.tape(
        item,
        name=request.getfixturevalue("default_cassette_name"),
        folder=os.fspath(vcr_cassette_dir),
        mode=record_mode,
        config=request.getfixturevalue("vcr_config"),
        markers=vcr_markers,
        pytestconfig=pytestconfig,
    )
    session = _opened(tape)
    item.stash[_TAPE] = tape
    try:
        yield tape
    finally:
        _closed(session)
        _count(item.config, session)
    if keeps_failures or not item.stash.get(_FAILED, False):
        tape.save()


def _opened(tape: VcrTape) -> TapedSession:
    from llmreplay import use  # noqa: PLC0415  see the rules of the plugin
    from llmreplay.session import TapedSession  # noqa: PLC0415

    session = TapedSession(tape)
    use.resume(session)
    tape.patch()
    return session


def _closed(session: TapedSession) -> None:
    from llmreplay import use  # noqa: PLC0415  likewise

    try:
        session.tape.unpatch()  # type: ignore[attr-defined]  # it is a VcrTape
    finally:
        use.suspend(session)
        session.finish()


def _count(config: pytest.Config, session: TapedSession) -> None:
    from llmreplay import codecs  # noqa: PLC0415  likewise

    counts = config.stash[_COUNTS]
    calls = [call for call in session.replayed if codecs.is_llm_call(call.request)]
    done = {
        "replayed": session.tally.replayed,
        "recorded": session.tally.recorded,
        "refused": session.tally.refused,
        "tokens": sum(codecs.usage(call).total_tokens for call in calls),
    }
    for name, number in done.items():
        counts[name] = counts.get(name, 0) + number
