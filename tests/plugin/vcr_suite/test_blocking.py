"""Tests that may reach no host, or only some."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
import requests

DISABLED = "^Network is disabled for host "


@pytest.mark.block_network
def test_requests_are_blocked(live):
    with pytest.raises(RuntimeError, match=DISABLED):
        requests.get(live.url)
    assert live.asked == []


@pytest.mark.block_network
def test_httpx_is_blocked(live):
    with pytest.raises(RuntimeError, match=r"Network is disabled for host '127\.0\.0\.1'"):
        httpx.get(live.url)


@pytest.mark.block_network
def test_sockets_are_blocked(live):
    with socket.socket() as client, pytest.raises(RuntimeError, match=DISABLED):
        client.connect(live.server_address)
    with socket.socket() as client, pytest.raises(RuntimeError, match=DISABLED):
        client.connect_ex(live.server_address)


@pytest.mark.block_network
def test_event_loops_are_blocked(live):
    async def ask():
        await asyncio.open_connection(*live.server_address)

    with pytest.raises(RuntimeError, match=DISABLED):
        asyncio.run(ask())


@pytest.mark.block_network
def test_pairs_of_sockets_are_no_network():
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"


@pytest.mark.block_network(allowed_hosts=["127.0.*"])
def test_hosts_can_be_allowed(live):
    assert requests.get(live.url).ok
    with socket.socket() as client, pytest.raises(RuntimeError, match=DISABLED):
        client.connect(("192.0.2.1", 80))


@pytest.mark.block_network(allowed_hosts=[r"10\.", r"127\.0\.0\.1$"])
def test_several_hosts_can_be_allowed(live):
    assert httpx.get(live.url).is_success


@pytest.mark.vcr
@pytest.mark.block_network
def test_what_is_recorded_is_played_under_a_block(url):
    assert requests.get(f"{url}/blocked").json()["path"] == "/blocked"


@pytest.mark.vcr(record_mode="none", ignore_localhost=True)
@pytest.mark.block_network
def test_what_is_ignored_is_blocked(live, recording):
    if recording:
        pytest.skip("a run with --record-mode blocks nothing in tests with a cassette")
    with pytest.raises(RuntimeError, match=DISABLED):
        requests.get(live.url)


def test_nothing_is_blocked_without_the_marker(live):
    assert requests.get(live.url).ok


class TestAllowedByTheFixture:
    @pytest.fixture(autouse=True)
    def vcr_config(self):
        return {"allowed_hosts": [r"127\..*"]}

    @pytest.mark.block_network
    def test_it(self, live):
        assert requests.get(live.url).ok

    @pytest.mark.block_network(allowed_hosts=["elsewhere"])
    def test_the_marker_wins(self, live):
        with pytest.raises(RuntimeError, match=DISABLED):
            requests.get(live.url)
