"""`results.json`, from which every report can be made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.reports import html_report, junit_xml, write_reports
from lab.results import Results, load, save


def test_saved_results_come_back_equal(results: Results, tmp_path: Path) -> None:
    """Nothing is lost or changed on the way through the file, and no part of a file is left."""
    save(results, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_reports_of_saved_results_are_the_same(results: Results, tmp_path: Path) -> None:
    """A report depends on the results alone, not on the time or the machine that makes it."""
    save(results, tmp_path / "results.json")
    again = load(tmp_path / "results.json")
    assert html_report(again) == html_report(results)
    assert junit_xml(again) == junit_xml(results)


def test_write_reports_makes_the_folder_and_names_its_files(results: Results, tmp_path: Path) -> None:
    """The caller learns where each report lies."""
    paths = write_reports(results, tmp_path / "out" / "run")
    assert {kind: path.name for kind, path in paths.items()} == {"html": "report.html", "junit": "junit.xml"}
    assert paths["html"].read_text(encoding="utf-8") == html_report(results)


def test_a_wrong_value_is_named_by_file_and_key(results: Results, tmp_path: Path) -> None:
    """Whoever edits a results file learns which key is wrong."""
    path = tmp_path / "results.json"
    save(results, path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["scenarios"][0]["proxies"][0]["cases"][0]["outcome"] = "fine"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load(path)
    assert str(path) in caught.value.problem
    assert "scenarios.0.proxies.0.cases.0.outcome" in caught.value.problem


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "no JSON document"),
        ("[]", "no JSON document"),
        ('{"format_version": 99}', "format_version is 99"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, content: str | None, word: str) -> None:
    """Half a file, another file, another version and no file each have their message."""
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load(path)
    assert str(path) in caught.value.problem
    assert word in caught.value.problem
