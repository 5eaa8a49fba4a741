from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import documents
from benchmarks.documents import LEARNING, PERFORMANCE, Document, insert_tables, keep_results
from benchmarks.records import Record, load_records, save_record
from tests.benchmarks.examples import make_record


@pytest.mark.parametrize("document", [PERFORMANCE, LEARNING], ids=lambda document: document.name)
def test_the_tables_of_the_documents_are_those_of_the_kept_results(document: Document) -> None:
    text = document.page.read_text()
    assert insert_tables(document, text, load_records(document.results)) == text, "run: python -m benchmarks.documents"


@pytest.mark.parametrize("document", [PERFORMANCE, LEARNING], ids=lambda document: document.name)
def test_nothing_quick_or_failed_is_kept(document: Document) -> None:
    for record in load_records(document.results).values():
        assert record.error is None
        assert not record.quick


def make_document(folder: Path) -> Document:
    def count(records: dict[str, Record]) -> str:
        return f"{len(records)} records" if records else ""

    return Document(name="example", page=folder / "example.md", tables=lambda: {"count": count})


def test_what_stands_between_the_marks_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    document = make_document(tmp_path)
    begin, end = documents.BEGIN.format(name="count"), documents.END.format(name="count")
    text = f"before\n\n{begin}\nold\n{end}\n\nafter\n"
    made = insert_tables(document, text, {"part": make_record("part", {})})
    assert made == f"before\n\n{begin}\n\n1 records\n\n{end}\n\nafter\n"
    assert insert_tables(document, made, {}) == made.replace("1 records", "No result is kept yet.")


def test_a_page_without_its_marks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"example\.md must hold the marks of count once"):
        insert_tables(make_document(tmp_path), "text", {})


def test_only_whole_results_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "KEPT", tmp_path / "kept")
    good = make_record("a/good", {"score": 1.0})
    for record in (good, make_record("quick", {}, quick=True), make_record("failed", {}, error="no")):
        save_record(tmp_path / "work", record)
    document = make_document(tmp_path)
    assert keep_results(tmp_path / "work", document) == ["a/good"]
    assert load_records(document.results) == {"a/good": good}
    again = dataclasses.replace(good, seconds=2.0)
    save_record(tmp_path / "work", again)
    keep_results(tmp_path / "work", document)
    assert load_records(document.results) == {"a/good": again}
