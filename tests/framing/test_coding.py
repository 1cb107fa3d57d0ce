"""Content codings are undone piece by piece, and what cannot be undone is left alone."""

from __future__ import annotations

import gzip
import sys
import zlib
from itertools import pairwise
from types import ModuleType

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmreplay.framing.coding import CodingError, decode, decoder, is_coded

TEXT = b'data: {"delta": "It rains in Oslo."}\n\n' * 40


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": lambda data: data,
    "": lambda data: data,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data, mtime=0)),
    "ZSTD,identity , gzip": lambda data: gzip.compress(zstandard.compress(data), mtime=0),
}
CASES = [pytest.param(coding, coder, id=coding or "none") for coding, coder in CODERS.items()]
CASES.append(pytest.param("deflate", raw_deflate, id="bare deflate"))


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(("coding", "coder"), CASES)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_coding_is_undone_however_the_bytes_are_split(coding, coder, size) -> None:
    pieces = pieces_of(coder(TEXT), size)

    undone = decode(pieces, coding)

    assert undone is not None
    assert len(undone) == len(pieces)
    assert b"".join(undone) == TEXT


@given(data=st.binary(max_size=500), cuts=st.lists(st.integers(0, 600), max_size=5))
def test_any_bytes_come_back_from_any_coding_and_any_split(data, cuts) -> None:
    for coding, coder in CODERS.items():
        coded = coder(data)
        edges = [0, *sorted(min(cut, len(coded)) for cut in cuts), len(coded)]
        pieces = [coded[start:end] for start, end in pairwise(edges)]

        undone = decode(pieces, coding)

        assert undone is not None
        assert (len(undone), b"".join(undone)) == (len(pieces), data)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_the_server_flushed_is_given_with_the_chunk_that_brought_it(coding) -> None:
    squeeze = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    events = [b"data: one\n\n", b"data: two\n\n"]
    chunks = [squeeze.compress(event) + squeeze.flush(zlib.Z_SYNC_FLUSH) for event in events]

    assert decode([*chunks, squeeze.flush()], coding) == [*events, b""]


@pytest.mark.parametrize(("coding", "coder"), CASES)
def test_a_cut_stream_gives_what_had_arrived(coding, coder) -> None:
    coded = coder(TEXT)

    undone = decode(pieces_of(coded[:-1], 16), coding)

    assert undone is not None
    assert TEXT.startswith(b"".join(undone))


def test_a_cut_stream_is_cut_where_the_flushed_bytes_end() -> None:
    squeeze = zlib.compressobj(wbits=31)
    chunk = squeeze.compress(TEXT) + squeeze.flush(zlib.Z_SYNC_FLUSH)

    assert decode([chunk], "gzip") == [TEXT]


@pytest.mark.parametrize(
    ("coding", "damaged"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)[:-8] + b"\0" * 8),
        ("gzip", TEXT),
        ("deflate", b"\xff" * 40),
        ("br", b"\xff" * 40),
        ("zstd", zstandard.compress(TEXT)[:20] + b"\xff" * 40),
        ("gzip, br", brotli.compress(TEXT)),
    ],
    ids=["a wrong checksum", "no gzip", "no deflate", "no br", "half a zstd", "br is no gzip, br"],
)
def test_damaged_bytes_cannot_be_undone(coding, damaged) -> None:
    undo = decoder(coding)
    assert undo is not None

    assert decode([damaged], coding) is None
    with pytest.raises(CodingError):
        undo.feed(damaged)


def test_a_chain_whose_last_bytes_are_damaged_says_so() -> None:
    undo = decoder("gzip, gzip")
    assert undo is not None
    with pytest.raises(CodingError):
        undo.feed(gzip.compress(b"not gzip", mtime=0))


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(("coding", "coder"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_members_laid_end_to_end_are_one_stream(coding, coder, size) -> None:
    coded = coder(b"one ") + coder(b"two ") + coder(b"three")

    undone = decode(pieces_of(coded, size), coding)

    assert undone is not None
    assert b"".join(undone) == b"one two three"


def test_a_skippable_frame_of_zstd_is_skipped() -> None:
    skippable = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"

    undone = decode([zstandard.compress(b"one "), skippable, zstandard.compress(b"two")], "zstd")

    assert undone == [b"one ", b"", b"two"]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("padding", [b"\0" * 9, b"\x1fpadding", b"\x28\xb5\x2f padding"])
def test_padding_after_the_end_is_ignored(coding, size, padding) -> None:
    undone = decode(pieces_of(CODERS[coding](b"all") + padding, size), coding)

    assert undone is not None
    assert b"".join(undone) == b"all"


@pytest.mark.parametrize("size", [1, 1000])
def test_bytes_after_the_end_of_a_brotli_stream_are_damage(size) -> None:
    assert decode(pieces_of(brotli.compress(b"all") + b"\0", size), "br") is None


@pytest.mark.parametrize("coding", ["compress", "utf-8", "gzip, compress", "compress, gzip"])
def test_an_unknown_coding_is_left_alone(coding) -> None:
    assert decoder(coding) is None
    assert decode([b"x"], coding) is None


@pytest.mark.parametrize(
    ("coding", "libraries"),
    [("br", ("brotli", "brotlicffi")), ("zstd", ("compression.zstd", "backports.zstd", "zstandard"))],
)
def test_a_coding_without_its_library_is_unknown(coding, libraries, monkeypatch) -> None:
    for library in libraries:
        monkeypatch.setitem(sys.modules, library, None)

    assert decoder(coding) is None
    assert is_coded(CODERS[coding](TEXT), coding)
    assert not is_coded(TEXT, coding)


def test_brotlicffi_serves_where_brotli_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "brotlicffi", brotli)  # its interface is the same

    assert decode([brotli.compress(TEXT)], "br") == [TEXT]


def test_the_interface_of_the_standard_library_serves_for_zstd(monkeypatch) -> None:
    # compression.zstd and backports.zstd: the class itself is the stream.
    library = ModuleType("compression.zstd")
    library.ZstdDecompressor = lambda: zstandard.ZstdDecompressor().decompressobj()  # type: ignore[attr-defined]
    library.ZstdError = zstandard.ZstdError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compression.zstd", library)

    assert decode([zstandard.compress(TEXT) * 2], "zstd") == [TEXT * 2]


def test_an_empty_body_is_empty_under_any_coding() -> None:
    for coding in CODERS:
        assert decode([], coding) == []
        assert decode([b"", b""], coding) == [b"", b""]


def test_a_single_byte_of_deflate_is_not_enough_to_tell() -> None:
    assert decode([b"\x78"], "deflate") == [b""]


@pytest.mark.parametrize(("coding", "coder"), CASES)
def test_a_coded_body_looks_coded(coding, coder) -> None:
    assert is_coded(coder(TEXT), coding) is (coding not in ("", "identity"))


@pytest.mark.parametrize("coding", [*CODERS, "compress"])
@pytest.mark.parametrize("stored", [b"", b"{", TEXT, "Ærlig talt: 雨".encode()])
def test_a_body_stored_decoded_does_not_look_coded(coding, stored) -> None:
    assert not is_coded(stored, coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_decoded_binary_body_does_not_look_coded(coding) -> None:
    assert not is_coded(b"\xff\xfb\x90\x64" * 30, coding)


def test_a_bare_deflate_body_that_was_cut_still_looks_coded() -> None:
    assert is_coded(raw_deflate(TEXT)[:-4], "deflate")


def test_the_interface_of_zstandard_serves_for_zstd(monkeypatch) -> None:
    for library in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, library, None)

    assert decode([zstandard.compress(TEXT) * 2], "zstd") == [TEXT * 2]


def test_bytes_under_an_unknown_coding_look_coded() -> None:
    assert is_coded(b"\x9d\x90\xff", "compress")
