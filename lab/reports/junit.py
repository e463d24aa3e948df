"""JUnit XML, as Jenkins and GitLab read it: a suite a scenario, a testcase a case.

A requirement that was not met is a *failure*. Where there is no verdict (set-up or harness failed,
inconclusive) it is an *error*, because it says nothing about the proxy. What was measured again says so in the
its output. Words are untrusted: XML 1.0 has no way to write most control characters, and what it can write goes to a
CI server's terminal; so the whole tree is made legal and printable before it is serialised, whoever has put words into
it.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from lab.printable import REPLACEMENT, printable_text
from lab.reports.phrases import again, case_id, finding_words
from lab.reports.terminal import describe_case
from lab.results import CaseResult, ProxyResult, Results, ScenarioResult
from lab.vocabulary import Outcome

_KINDS = {
    Outcome.FAILED: "failure",
    Outcome.SET_UP_FAILED: "error",
    Outcome.HARNESS_FAILED: "error",
    Outcome.INCONCLUSIVE: "error",
    Outcome.SKIPPED: "skipped",
}
"""The element that marks a case; one that passed has none."""

_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}

# The characters that XML 1.0 (fifth edition, section 2.2, production Char) leaves out.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(results: Results) -> str:
    """The whole document, with its declaration; times in seconds."""
    root = ElementTree.Element("testsuites", name="token-stream-lab")
    for scenario in results.scenarios:
        root.append(_suite(scenario, results))
    # A suite's time is the sum of its cases; the run's is what the clock on the wall said.
    root.set("time", f"{results.wall_seconds:.3f}")
    return document(root)


def document(root: ElementTree.Element) -> str:
    """A tree of suites and cases as a document, with the totals of each; whatever words are in it, it is legal."""
    for suite in (root, *root.iter("testsuite")):
        _count(suite)
    for element in root.iter():
        element.attrib = {name: _legal(value) for name, value in element.attrib.items()}
        element.text = element.text and _legal(element.text)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(scenario: ScenarioResult, results: Results) -> ElementTree.Element:
    # JUnit's own schema wants the time stamp without an offset.
    attributes = {"name": scenario.id, "timestamp": results.started[:19]}
    suite = ElementTree.Element("testsuite", attributes)
    for proxy in scenario.proxies:
        for case in proxy.cases:
            suite.append(_case(scenario, proxy, case))
    suite.set("time", f"{sum(case.seconds for proxy in scenario.proxies for case in proxy.cases):.3f}")
    return suite


def _count(element: ElementTree.Element) -> None:
    """Set the totals that CI servers show without reading the cases."""
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for attribute, tag in _COUNTED.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _case(scenario: ScenarioResult, proxy: ProxyResult, case: CaseResult) -> ElementTree.Element:
    element = ElementTree.Element(
        "testcase",
        name=case_id(scenario, proxy, case),
        classname=f"{scenario.id}.{proxy.proxy}",
        time=f"{case.seconds:.3f}",
    )
    kind = _KINDS.get(case.outcome)
    if kind is not None:
        mark = ElementTree.SubElement(element, kind, type=case.outcome.value, message=_reason(case))
        if kind != "skipped":
            mark.text = describe_case(case_id(scenario, proxy, case), case)
    words = [again(case)] if again(case) else []
    words += [f"{each.requirement} {finding_words(each)}" for each in case.findings if each.up_to is not None]
    if words:
        ElementTree.SubElement(element, "system-out").text = "\n".join(words)
    return element


def _reason(case: CaseResult) -> str:
    """One line that says why: what came instead, or the problem that left the case without a verdict."""
    unmet = [finding.actual for finding in case.findings if not finding.met]
    return case.problem or "; ".join(unmet) or case.outcome.value


def _legal(text: str) -> str:
    return _NO_XML.sub(REPLACEMENT, printable_text(text))
