"""The HTML page as a document: anchors, escaping, one scale a pair, nothing fetched, enough contrast."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from lab.reports import html_report
from lab.reports.style import page_style
from lab.results import Results
from lab.vocabulary import Group

from .making import finding
from .markup import Element, parse

STYLE = page_style(("lab.reports", "run.css"))

_FETCHING = {"src", "srcset", "poster", "data", "action", "background"}


@pytest.fixture(name="page", scope="module")
def _page(results: Results) -> Element:
    return parse(html_report(results))


def axis(case: Element) -> list[tuple[str, str]]:
    """Place and label of each time on a case's first axis."""
    texts = case.find("svg", role="img")[0].find("text")
    return [(text.attributes["x"], text.text) for text in texts if re.fullmatch(r"[\d.]+( s)?", text.text)]


def test_every_case_has_an_anchor_equal_to_its_test_id(page: Element, results: Results) -> None:
    """A link made from a test's name leads to its place."""
    for scenario, proxy, case in results.cases():
        assert page.by_id(f"{scenario.id}::{proxy.proxy}::{case.label}").tag == "article"


@pytest.mark.parametrize("group", Group)
def test_a_scenario_of_any_group_is_on_the_page(results: Results, group: Group) -> None:
    """None is passed over, whatever it is about."""
    first, *others = results.scenarios
    page = parse(html_report(replace(results, scenarios=(replace(first, group=group), *others))))
    assert page.by_id(first.id).tag == "details"
    rows = [row.attributes["data-scenario"] for row in page.find("tr") if "data-scenario" in row.attributes]
    assert sorted(rows) == sorted(scenario.id for scenario in results.scenarios)


def test_ids_are_unique(page: Element) -> None:
    """No two elements answer to one name."""
    ids = [element.attributes["id"] for element in page.walk() if "id" in element.attributes]
    assert len(ids) == len(set(ids))


def test_every_link_and_reference_inside_the_page_has_its_target(page: Element) -> None:
    """Anchors, labels, descriptions and copy buttons all point at something that is there."""
    ids = {element.attributes.get("id") for element in page.walk()}
    for element in page.walk():
        names = element.attributes.get("aria-labelledby", "").split()
        names += [element.attributes["data-copies"]] if "data-copies" in element.attributes else []
        names += [element.attributes["href"][1:]] if element.attributes.get("href", "").startswith("#") else []
        assert set(names) <= ids


def test_all_evidence_is_folded_one_scenario_and_one_proxy_at_a_time(page: Element, results: Results) -> None:
    """Every case stands in the details of its proxy, those in the details of their scenario, and none is open."""
    assert len(page.find("article", class_="case")) == len(results.cases())
    for scenario, proxy, case in results.cases():
        around = page.by_id(scenario.id)
        behind = around.by_id(f"{scenario.id}::{proxy.proxy}")
        behind.by_id(f"{scenario.id}::{proxy.proxy}::{case.label}")
        assert {around.tag, behind.tag} == {"details"}
        assert "open" not in {**around.attributes, **behind.attributes}


def test_many_cases_that_went_wrong_do_not_push_the_grid_away(results: Results) -> None:
    """Ten are listed, and the rest is folded."""
    wrong = replace(results.scenarios[1].proxies[1].cases[1])
    cases = tuple(replace(wrong, label=f"fixed-{number}") for number in range(25))
    scenario = replace(results.scenarios[1], proxies=(replace(results.scenarios[1].proxies[1], cases=cases),))
    (alarm,) = parse(html_report(replace(results, scenarios=(scenario,)))).find(class_="alarm")
    (folded,) = alarm.find("details")
    assert (len(alarm.find("li")), len(folded.find("li"))) == (25, 15)


def test_a_symptom_that_was_reproduced_looks_like_no_warning(page: Element) -> None:
    """It is as it should be: neither the colours of a failure nor those that warn, and no warning triangle."""
    tags = [tag for tag in page.find(class_="tag") if "reproduced" in tag.text]
    assert tags
    for tag in tags:
        assert tag.attributes["class"].split() == ["tag", "reproduced"]
        assert "▲" not in tag.text
    (rule,) = re.findall(r"\.tag\.reproduced \{(.*?)\}", STYLE)
    assert set(re.findall(r"--([\w-]+)", rule)) == {"quiet", "faint"}


def test_what_went_wrong_stands_before_the_grid(page: Element) -> None:
    """The four cases of the sample that need a look are listed first, each with its reason."""
    (alarm,) = page.find(class_="alarm")
    assert [link.attributes["href"] for link in alarm.find("a")] == [
        "#idle-timeout::haproxy-3.2::fixed",
        "#idle-timeout::envoy-1.40::fixed",
        "#died-in-the-middle::haproxy-3.2::not-affected",
        "#died-in-the-middle::envoy-1.40::not-affected",
    ]
    assert "stream_idle_timeouts" in alarm.text
    order = [element for element in page.walk() if element is alarm or "matrix" in element.attributes.get("class", "")]
    assert order[0] is alarm


def test_a_case_that_does_not_meet_several_requirements_is_told_by_them(results: Results) -> None:
    """What came in each of many exchanges would be a wall of words; it stands with the case."""
    proxy = results.scenarios[1].proxies[1]
    unmet = [finding(f"Requirement {number}.", "whole", f"cut {number}", met=False) for number in (1, 2)]
    wrong = replace(proxy.cases[1], findings=tuple(unmet))
    scenario = replace(results.scenarios[1], proxies=(replace(proxy, cases=(wrong,)),))
    page = parse(html_report(replace(results, scenarios=(scenario,))))
    (why,) = page.find(class_="why")
    assert why.text == "Requirement 1. Requirement 2."
    assert "cut 2" in page.by_id("idle-timeout::haproxy-3.2::fixed").text


def test_a_good_run_raises_no_alarm(results: Results) -> None:
    """Where all went as the scenarios say, nothing is listed."""
    page = parse(html_report(replace(results, scenarios=results.scenarios[:1])))
    assert page.find(class_="alarm") == []


def test_a_pair_shares_one_time_scale(page: Element) -> None:
    """The same seconds stand at the same places in broken and in every fix, though their ends differ."""
    broken, fixed, further = (
        axis(page.by_id(f"idle-timeout::nginx-1.26::{label}")) for label in ("broken", "fixed", "fixed-heartbeats")
    )
    assert broken == fixed == further
    assert axis(page.by_id("total-timeout::envoy-1.40::broken")) == axis(page.by_id("total-timeout::envoy-1.40::fixed"))


def test_real_defaults_have_a_scale_of_their_own(page: Element) -> None:
    """Sixty seconds on the pair's axis would squash five seconds to nothing."""
    assert axis(page.by_id("idle-timeout::nginx-1.26::real-defaults"))[-1][1] == "60 s"


def test_every_picture_has_a_text_alternative(page: Element) -> None:
    """Each picture has a title and a description with figures."""
    pictures = page.find("svg", role="img")
    assert len(pictures) == 22 - 3  # three of the 22 cases never came to an exchange
    for picture in pictures:
        assert picture.find("title")[0].text
        assert re.search(r"\d+ of \d+", picture.find("desc")[0].text)


def test_a_large_batch_is_drawn_as_bars(page: Element) -> None:
    """Sixteen exchanges are sixteen bars with a cross on each that was cut, and a table of figures."""
    case = page.by_id("total-timeout::envoy-1.40::broken")
    assert len(case.find("rect", class_="bar")) == 16
    assert len(case.find("svg", class_="mark")) == len(case.find("rect", class_="bad")) > 0
    assert len(case.find("tbody")[0].find("tr")) == 16


def test_a_finding_is_told_as_requirement_expected_actual(page: Element) -> None:
    """The failed case says in words that it is not as expected."""
    (finding,) = page.by_id("idle-timeout::haproxy-3.2::fixed").find("dl", class_="finding")
    assert [term.text for term in finding.find("dt")] == ["Requirement", "Expected", "Actual"]
    assert "not as expected" in finding.text


def test_a_copy_button_names_the_exact_configuration(page: Element, results: Results) -> None:
    """What is copied is the file, to the last character."""
    name = "holds-the-answer-back::nginx-1.26::fixed"
    (button,) = page.find("button", **{"data-copies": f"{name}::config"})
    assert button.attributes["type"] == "button"
    assert page.by_id(f"{name}::config").text == results.scenarios[0].proxies[0].cases[1].config


def test_a_fix_outside_the_proxy_has_no_copy_button(page: Element) -> None:
    """Offering the broken configuration as a fix would mislead."""
    case = page.by_id("idle-timeout::nginx-1.26::fixed-heartbeats")
    assert case.find("button") == []
    assert "the configuration stays as it is" in case.text


def test_added_lines_are_marked_as_insertions(page: Element) -> None:
    """The difference is told by elements and signs, not by colour alone."""
    difference = page.find("pre", class_="diff")[0]
    assert difference.find("ins")[1].text.strip() == "+            proxy_buffering off;"


def test_nothing_is_fetched(page: Element) -> None:
    """No attribute, style or script of the page asks for anything outside it."""
    for element in page.walk():
        for name, value in element.attributes.items():
            assert name not in _FETCHING
            assert name not in ("href", "xlink:href") or element.tag == "a" or value == "data:,"
    assert not re.search(r"url\(|@import|https?:", STYLE)
    (script,) = page.find("script")
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|https?:", script.text)


EVIL = '</code></pre></script><script>alert(1)</script><img src=x onerror=alert(1)>" onload="alert(1)'


def test_nothing_untrusted_becomes_an_element(results: Results) -> None:
    """Logs, configurations, stories, problems, sentences and sources are text wherever they stand."""
    scenario = results.scenarios[1]
    proxy = scenario.proxies[1]
    exchange = replace(proxy.cases[0].exchanges[0], sentence=EVIL, name=EVIL, flags=(EVIL,))
    cases = tuple(
        replace(case, log=(EVIL,), config=EVIL + case.label, title=EVIL, problem=EVIL, exchanges=(exchange, exchange))
        for case in proxy.cases
    )
    changed = replace(
        scenario, readme=EVIL, sources=(EVIL, f"https://example.org/{EVIL}"), proxies=(replace(proxy, cases=cases),)
    )
    page = parse(html_report(replace(results, machine=EVIL, scenarios=(changed,))))
    assert len(page.find("script")) == 1
    assert page.find("img") == []
    assert not [name for element in page.walk() for name in element.attributes if name.startswith("on")]
    assert EVIL in page.by_id(f"{scenario.id}::{proxy.proxy}::fixed").text


def test_a_source_that_is_no_address_is_no_link(results: Results) -> None:
    """A script in place of an address must not become clickable."""
    changed = replace(results.scenarios[0], sources=("javascript:alert(1)",))
    page = parse(html_report(replace(results, scenarios=(changed,))))
    assert not [link for link in page.find("a") if link.attributes["href"].startswith("javascript")]


def test_an_empty_run_has_a_page(results: Results) -> None:
    """No scenario, no image, no longest case: the page still stands."""
    assert parse(html_report(replace(results, scenarios=(), images=(), longest=""))).find("h1")


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it, of `#rrggbb`."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *[(ink, "paper") for ink in ("ink", "quiet", "accent", "good", "shown", "bad", "fault")],
        *[(ink, "panel") for ink in ("ink", "quiet", "accent")],
        ("good", "good-tint"),
        ("shown", "shown-tint"),
        ("accent", "measured-tint"),
        ("bad-ink", "bad"),
        ("bad", "bad-tint"),
        ("fault", "fault-tint"),
        ("quiet", "faint"),
    ],
)
def test_text_has_a_contrast_of_at_least_4_5(scheme: str, ink: str, ground: str) -> None:
    """WCAG AA for text of normal size, in both colour schemes."""
    light, dark = re.split(r"prefers-color-scheme: dark", STYLE)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    lighter, darker = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
