"""JUnit XML, as Jenkins and GitLab read it: a suite a scenario, a case a side.

A requirement that was not met is a *failure*. Where there is no verdict (set-up or harness failed,
inconclusive) the case is an *error*, because it says nothing about the proxy. What was measured twice says so in the
case's output. Words are untrusted: XML 1.0 has no way to write most control characters, and what it can write goes to a
CI server's terminal; so the whole tree is made legal and printable before it is serialised, whoever has put words into
it.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from lab.printable import REPLACEMENT, printable_text
from lab.reports.phrases import again, side_id
from lab.reports.terminal import describe_side
from lab.results import ProxyResult, Results, ScenarioResult, SideResult
from lab.words import Outcome

_KINDS = {
    Outcome.FAILED: "failure",
    Outcome.SET_UP_FAILED: "error",
    Outcome.HARNESS_FAILED: "error",
    Outcome.INCONCLUSIVE: "error",
    Outcome.SKIPPED: "skipped",
}
"""The element that marks a case; a side that passed has none."""

_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}

# The characters that XML 1.0 (fifth edition, section 2.2, production Char) leaves out.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(results: Results) -> str:
    """The whole document, with its declaration; times in seconds."""
    root = ElementTree.Element("testsuites", name="token-stream-lab")
    for scenario in results.scenarios:
        root.append(_suite(scenario, results))
    _count(root)
    # A suite's time is the sum of its cases; the run's is what the clock on the wall said.
    root.set("time", f"{results.wall_seconds:.3f}")
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
        for side in proxy.sides:
            suite.append(_case(scenario, proxy, side))
    _count(suite)
    suite.set("time", f"{sum(side.seconds for proxy in scenario.proxies for side in proxy.sides):.3f}")
    return suite


def _count(element: ElementTree.Element) -> None:
    """Set the totals that CI servers show without reading the cases."""
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for attribute, tag in _COUNTED.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _case(scenario: ScenarioResult, proxy: ProxyResult, side: SideResult) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        name=side_id(scenario, proxy, side),
        classname=f"{scenario.id}.{proxy.proxy}",
        time=f"{side.seconds:.3f}",
    )
    kind = _KINDS.get(side.outcome)
    if kind is not None:
        mark = ElementTree.SubElement(case, kind, type=side.outcome.value, message=_reason(side))
        if kind != "skipped":
            mark.text = describe_side(side_id(scenario, proxy, side), side)
    if again(side):
        ElementTree.SubElement(case, "system-out").text = again(side)
    return case


def _reason(side: SideResult) -> str:
    """One line that says why: what came instead, or the problem that left the side without a verdict."""
    unmet = [finding.actual for finding in side.findings if not finding.met]
    return side.problem or "; ".join(unmet) or side.outcome.value


def _legal(text: str) -> str:
    return _NO_XML.sub(REPLACEMENT, printable_text(text))
