"""What a code host and a CI server are given: SARIF, annotations, a summary, JUnit and JSON, with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from lab.cli import main
from lab.errors import ExitCode
from lab.products.adapted import Entrance, Mending, Remark, Spot
from lab.verify.formats import Entry, as_json, github, junit, read, sarif, summary
from lab.vocabulary import Requirement, State

ROOT = Path("/srv/repository")
ENTRANCE = Entrance("location /", "/v1", "", secure=False, spot=Spot(ROOT / "conf/a.conf", 3, "location / {"))
HERE = Spot(ROOT / "my conf/b,c.conf", 7, "proxy_buffering on;")
READ = read(
    [
        Remark(
            ENTRANCE, HERE, Requirement.DELIVERS_TOKENS_AS_THEY_COME, "held\nfor 100%", "proxy_buffering off;", "bursts"
        ),
        Remark(ENTRANCE, None, Requirement.SURVIVES_SILENCE, "ended", "proxy_read_timeout 600s;", "silent-gap"),
    ]
)
"""What `lab check` says: of a directive, and of a default."""

MENDING = Mending("proxy_buffering off;", HERE), Mending("proxy_http_version 1.1;", None)
MEASURED = [
    Entry(ENTRANCE, Requirement.DELIVERS_TOKENS_AS_THEY_COME, State.NOT_MET, "20 tokens | at once", MENDING),
    Entry(ENTRANCE, Requirement.SURVIVES_SILENCE, State.MET, "", up_to=4.0),
    Entry(ENTRANCE, Requirement.GENERATES_ONCE, State.INCONCLUSIVE, "the probe was late"),
    Entry(ENTRANCE, Requirement.PASSES_ERRORS_ON, State.NOT_APPLICABLE, "no errors"),
]
"""What `lab verify` says: each state."""


@pytest.mark.parametrize("entries", [READ, MEASURED, []])
def test_sarif_is_valid(entries: list[Entry]) -> None:
    """By the schema of SARIF 2.1.0, in which no key is unknown."""
    SarifLog.model_validate_json(sarif(entries, ROOT))


def test_the_schema_refuses_what_is_no_sarif() -> None:
    """So that the test above can fail."""
    good = json.loads(sarif(READ, ROOT))
    good["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    with pytest.raises(ValueError, match="startLine"):
        SarifLog.model_validate(good)


def test_sarif_points_at_the_directive_or_at_the_location_with_the_default() -> None:
    """Paths are relative to the repository, as a URI is written; every result's rule is among the rules."""
    document = json.loads(sarif(READ, ROOT))
    (run,) = document["runs"]
    places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
    assert [(each["artifactLocation"]["uri"], each["region"]["startLine"]) for each in places] == [
        ("my%20conf/b%2Cc.conf", 7),
        ("conf/a.conf", 3),
    ]
    assert {each["ruleId"] for each in run["results"]} == {each["id"] for each in run["tool"]["driver"]["rules"]}
    assert document["version"] == "2.1.0"
    assert "proxy_read_timeout 600s;" in run["results"][1]["message"]["text"]


def test_what_is_met_is_no_result_and_what_cannot_be_told_is_a_warning() -> None:
    """A code host has the two that somebody has to look at."""
    (run,) = json.loads(sarif(MEASURED, ROOT))["runs"]
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [
        ("delivers-tokens-as-they-come", "error"),
        ("generates-once", "warning"),
    ]


def test_annotations_are_one_line_each_whatever_is_in_them() -> None:
    """A line break or a comma would end the message or the file's name."""
    first, second = github(READ, ROOT).splitlines()
    assert first.startswith(
        "::error file=my conf/b%2Cc.conf,line=7,title=delivers-tokens-as-they-come::proxy_buffering on;"
    )
    assert "held%0Afor 100%25" in first
    assert "location / has the default" in second


def test_junit_has_a_case_for_each_requirement() -> None:
    """One that is not met is a failure at its file and line; what cannot be told is an error."""
    root = ElementTree.fromstring(junit(MEASURED, ROOT))  # noqa: S314 - our own document
    counts = {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    (suite,) = root
    assert suite.get("name") == "conf/a.conf:3 location /"
    failure = suite.find("testcase[@name='delivers-tokens-as-they-come']/failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("my conf/b,c.conf:7: proxy_buffering on;: not met: 20 tokens")
    assert suite.findtext("testcase[@name='survives-silence']/system-out") == "survives-silence met up to 4 s"


def test_json_has_every_entry_and_each_line_that_mends_it() -> None:
    """What is met too, with its wait."""
    broken, met, *_ = json.loads(as_json(MEASURED, ROOT))
    assert (broken["file"], broken["line"], broken["directive"]) == ("my conf/b,c.conf", 7, "proxy_buffering on;")
    assert broken["fixes"] == ["proxy_buffering off;", "proxy_http_version 1.1;"]
    assert (met["state"], met["up_to"], met["directive"]) == ("met", 4.0, None)


def test_the_summary_is_a_table_that_no_word_can_break() -> None:
    """A bar in the evidence is no end of a cell."""
    lines = summary(MEASURED, ROOT).splitlines()
    assert lines[0] == "### Token streams: not as required"
    (row,) = [line for line in lines if "delivers" in line]
    assert "20 tokens \\| at once" in row
    assert "- location /: met: survives-silence up to 4 s" in lines
    assert summary([], ROOT).splitlines()[0] == "### Token streams: as required"


def test_what_no_file_of_a_product_meets_is_told_and_no_result() -> None:
    """Nobody can mend it in the file: no annotation, a case that is skipped, and its own line in the summary."""
    known = [
        Entry(ENTRANCE, Requirement.STOPS_WHEN_THE_CLIENT_LEAVES, State.NOT_MET, "went on", known="it never looks")
    ]
    assert json.loads(sarif(known, ROOT))["runs"][0]["results"] == []
    assert github(known, ROOT) == ""
    root = ElementTree.fromstring(junit(known, ROOT))  # noqa: S314 - our own document
    assert (root.get("failures"), root.get("skipped")) == ("0", "1")
    (entry,) = json.loads(as_json(known, ROOT))
    assert (entry["state"], entry["known"]) == ("not-met", "it never looks")
    lines = summary(known, ROOT).splitlines()
    assert lines[0] == "### Token streams: as required"
    wanted = "stops-when-the-client-leaves: Met by no file of this product: it never looks"
    assert f"- location /: {wanted}" in lines


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text("server { listen 80; location / { proxy_pass http://m; } }")
    return path


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("name", ["sarif", "json", "github"])
def test_the_command_writes_nothing_but_that_format(name: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that a pipeline can hand it on; the exit code is the same. An unknown one is refused."""
    assert main(["check", "nginx", str(file), "--format", name]) == ExitCode.REQUIREMENT_FAILED
    said = capsys.readouterr().out
    assert json.loads(said) if name != "github" else said.startswith("::error file=")
    assert main(["check", "nginx", str(file), "--format", "xml"]) == ExitCode.BAD_INPUT
    assert main(["verify", "nginx", str(file), "--format", "xml"]) == ExitCode.BAD_INPUT
    assert main(["check", "nginx", str(file), "--format", "junit"]) == ExitCode.BAD_INPUT


@pytest.mark.usefixtures("own_signals")
def test_a_workflow_is_given_a_summary_where_it_wants_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is added to what earlier steps wrote; where it cannot be written that is one message."""
    step = tmp_path / "summary.md"
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    for name in ("github", "json"):
        assert main(["check", "nginx", str(file), "--format", name]) == ExitCode.REQUIREMENT_FAILED
    assert step.read_text().startswith("before\n### Token streams: not as required\n")
    assert step.read_text().count("###") == 1
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert main(["check", "nginx", str(file), "--format", "github"]) == ExitCode.NO_ENVIRONMENT
    assert "GITHUB_STEP_SUMMARY" in capsys.readouterr().err
