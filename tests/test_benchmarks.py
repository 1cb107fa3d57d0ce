"""The benchmarks run, and say what they measured; how fast anything is, no test says."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def figures(*arguments: str) -> dict:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["replay", "--requests", "30", "--large", "100"], 4),
        (["vcrpy", "--requests", "10", "--samples", "2"], 2),
        (["import", "--rounds", "1"], 2),
        (["script", "--requests", "5"], 1),
        (["clients", "--rounds", "1"], 3),
        (["first-token", "--rounds", "1", "--delay", "0.01"], 4),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_benchmark_says_what_it_measured_against_what(arguments, rows):
    found = figures(*arguments)

    assert found["benchmark"] == arguments[0]
    assert len(found["rows"]) == rows
    for row in found["rows"]:
        assert all(row[name] for name in ("what", "peer", "ours", "theirs", "target", "reached"))
        assert isinstance(row["met"], bool)
    assert found["machine"]["cpus"] >= 1


def test_all_puts_its_table_between_the_marks_of_the_page(monkeypatch, tmp_path, capsys):
    from benchmarks import everything
    from benchmarks.rounds import Row

    page = tmp_path / "performance.md"
    page.write_text(f"before\n\n{everything._BEGIN}old\n{everything._END}\nafter\n")
    row = Row("what", "peer", "1 ms", "2 ms", "≤ 1.00", "0.50", met=True).as_json()
    monkeypatch.setattr(everything, "_PAGE", page)
    monkeypatch.setattr(
        everything.subprocess, "run", lambda *_, **__: Namespace(stdout=json.dumps({"rows": [row]}))
    )

    everything.run(Namespace(write=True, json=False))

    text = page.read_text()
    assert text.startswith(f"before\n\n{everything._BEGIN}")
    assert text.endswith(f"{everything._END}\nafter\n")
    assert "old" not in text
    assert text.count("| what | peer | 1 ms | 2 ms | ≤ 1.00 | **0.50** |  |") == len(everything.TABLES)
    assert "Measured on " in capsys.readouterr().out


def test_the_page_has_every_row_that_a_benchmark_measures():
    from benchmarks import everything
    from benchmarks.__main__ import BENCHMARKS

    page = (ROOT / "docs/performance.md").read_text()
    table = page.partition(everything._BEGIN)[2].partition(everything._END)[0]

    assert set(everything.TABLES) <= {benchmark.NAME for benchmark in BENCHMARKS}
    assert table.count("\n| ") > len(everything.TABLES)
    assert "load average" in table
