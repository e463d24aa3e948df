"""The JUnit document, read back as a CI server would."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lab.reports import junit_xml
from lab.results import FindingResult, Results
from lab.vocabulary import Outcome


@pytest.fixture(name="root")
def _root(results: Results) -> ElementTree.Element:
    return ElementTree.fromstring(junit_xml(results))  # noqa: S314 - our own document


def test_each_scenario_is_a_suite_and_each_side_a_case(root: ElementTree.Element, results: Results) -> None:
    """The names are the ids that pytest and the page use."""
    assert [suite.get("name") for suite in root] == [scenario.id for scenario in results.scenarios]
    cases = [case.get("name") for case in root.iter("testcase")]
    assert cases == [f"{scenario.id}::{proxy.proxy}::{case.label}" for scenario, proxy, case in results.cases()]


def test_the_totals_are_those_of_the_sample(root: ElementTree.Element) -> None:
    """Counted by hand in the sample: 22 cases, 1 failed, 3 without a verdict, 1 skipped."""
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "22",
        "failures": "1",
        "errors": "3",
        "skipped": "1",
    }


def test_the_totals_of_the_suites_add_up(root: ElementTree.Element) -> None:
    """A server that sums the suites shows what the root says."""
    for name in ("tests", "failures", "errors", "skipped"):
        assert sum(int(suite.get(name, "")) for suite in root) == int(root.get(name, ""))


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("idle-timeout::haproxy-3.2::fixed", "failure", "failed"),
        ("idle-timeout::envoy-1.40::fixed", "error", "set-up failed"),
        ("died-in-the-middle::envoy-1.40::not-affected", "error", "harness failed"),
        ("died-in-the-middle::haproxy-3.2::not-affected", "error", "inconclusive"),
        ("total-timeout::haproxy-3.2::not-affected", "skipped", "skipped"),
    ],
)
def test_only_an_unmet_requirement_is_a_failure(root: ElementTree.Element, name: str, kind: str, word: str) -> None:
    """Whose fault it is decides the element, and the reason is its message."""
    (case,) = (case for case in root.iter("testcase") if case.get("name") == name)
    (mark,) = case
    assert (mark.tag, mark.get("type")) == (kind, word)
    assert mark.get("message")


def test_every_case_and_suite_has_its_time(root: ElementTree.Element, results: Results) -> None:
    """Times are seconds with three places; the root has the wall time, which is less than the sum."""
    assert root.get("time") == "63.400"
    assert [float(case.get("time", "")) for case in root.iter("testcase")] == pytest.approx(
        [case.seconds for _, _, case in results.cases()], abs=0.0005
    )


def test_characters_that_xml_cannot_hold_are_replaced(results: Results) -> None:
    """A log may hold a NUL, a vertical tab or half a surrogate pair; the document stays readable."""
    scenario = results.scenarios[1]
    proxy = scenario.proxies[2]
    case = replace(proxy.cases[1], problem="a\x00b\x0bc\ud800d\uffffe", log=("]]> & \x1b[2J",))
    changed = replace(scenario, proxies=(replace(proxy, cases=(case,)),))
    root = ElementTree.fromstring(junit_xml(replace(results, scenarios=(changed,))))  # noqa: S314 - our own
    (error,) = root.iter("error")
    assert error.get("message") == "a\ufffdb\ufffdc\ufffdd\ufffde"
    assert "]]> &" in (error.text or "")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(st.characters(), min_size=1))
@example(words="\x00\x1b[31m\x9b\ud800\uffff\N{RIGHT-TO-LEFT OVERRIDE}]]>")
def test_whatever_the_words_are_the_document_is_well_formed(results: Results, words: str) -> None:
    """Words of others stand in every place that has words, the suite's own name and time among them."""
    scenario = results.scenarios[1]
    proxy = scenario.proxies[2]
    finding = FindingResult(met=False, requirement=words, expected=words, actual=words)
    cases = (
        replace(proxy.cases[1], label=words, title=words, problem=words, log=(words,)),
        replace(proxy.cases[1], outcome=Outcome.FAILED, problem="", findings=(finding,)),
    )
    changed = replace(scenario, id=words, title=words, proxies=(replace(proxy, proxy=words, cases=cases),))
    document = junit_xml(replace(results, started=words, scenarios=(changed,)))
    root = ElementTree.fromstring(document.encode())  # noqa: S314 - our own document
    assert len(list(root.iter("testcase"))) == 2
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", document) == []
