"""Whatever a reader of foreign bytes meets, the user gets one named error about that file: no traceback, no hang, no gigabyte."""

import pytest
from support.fuzz import KINDS, fuzz

FEW = {"map": 12, "OpenDRIVE map": 6, "recording (mcap)": 24, "recording (sqlite3)": 24}
"""Inputs of kinds that take long to read, in ``make test``; ``make test-long`` reads 100 of these too. docs/notes/broken_files.md has 2,000
of each."""


@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_are_refused_or_read(kind):
    found = fuzz(kind, KINDS[kind](), FEW.get(kind, 100))
    assert found.faults == [] and found.refused > found.inputs // 4 and found.inputs == found.read + found.refused


@pytest.mark.long
@pytest.mark.parametrize("kind", FEW)
def test_a_hundred_broken_files_of_kinds_that_take_long(kind):
    found = fuzz(kind, KINDS[kind](), 100)
    assert found.faults == [] and found.refused > 25 and found.inputs == found.read + found.refused == 100


def test_whole_files_are_read(tmp_path):
    for name, make in KINDS.items():
        kind = make()
        for path, content in kind.files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(content)
        kind.read(tmp_path / name)


def test_a_reader_that_lets_a_librarys_error_through_is_found():
    def careless(folder):
        return (folder / "a.json").read_text().encode().decode().index("key")

    found = fuzz("careless", KINDS["latency file"]().__class__({"a.json": b'{"key": 1}'}, ("a.json",), careless), 60)
    assert any("ValueError" in fault for fault in found.faults)
