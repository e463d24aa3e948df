"""What to deploy: a card for each product, with the very file that was held against all requirements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.reports import html_report
from lab.results import FindingResult, ProxyResult, Results
from lab.vocabulary import Group, Outcome, Requirement

from . import texts
from .making import make_case
from .markup import Element, parse

MET = FindingResult(True, "It waits.", "complete", "1 of 1", 4.05, about=Requirement.SURVIVES_SILENCE)
LEFT = FindingResult(
    True,
    "A client that leaves stops the model.",
    "not-met",
    "the model went on for 4.0 s",
    about=Requirement.STOPS_WHEN_THE_CLIENT_LEAVES,
    known_unmet=True,
)
NAME = "best/nginx/recommended.conf"


def recommended(results: Results, *proxies: ProxyResult) -> Results:
    """The run with one more scenario, which holds these against all requirements."""
    scenario = replace(results.scenarios[0], id="best", group=Group.RECOMMENDED, proxies=proxies)
    return replace(results, scenarios=(*results.scenarios, scenario))


def behind(
    proxy: str, config: str, *findings: FindingResult, outcome: Outcome = Outcome.PASSED, product: str = "nginx"
) -> ProxyResult:
    """One proxy with a recommended configuration."""
    broken = make_case("broken", ("best/broken", texts.NGINX_BROKEN))
    return ProxyResult(proxy, product, (broken, make_case("fixed", (NAME, config), (), findings, outcome=outcome)))


def cards(results: Results) -> list[Element]:
    """The cards of its page."""
    return parse(html_report(results)).find("article", class_="card")


def test_a_snippet_is_told_by_its_lines_and_can_be_copied(results: Results) -> None:
    """The line that includes it would help nobody; snippet and configuration are there to the last character."""
    page = parse(html_report(recommended(results, behind("nginx-1.26", texts.NGINX_INCLUDING, MET))))
    (card,) = page.find("article", class_="card")
    assert card.find("pre")[0].text == "proxy_buffering off;\nproxy_read_timeout 600s;"
    copied = [page.by_id(button.attributes["data-copies"]).text for button in card.find("button")]
    assert copied == [texts.SNIPPET, texts.NGINX_INCLUDING]


def test_lines_keep_their_indentation(results: Results) -> None:
    """What is new against the product as installed, without what all of it is indented by."""
    config = texts.HAPROXY_BROKEN.replace("    mode http\n", "    mode http\n    new:\n      inner\n")
    (card,) = cards(recommended(results, behind("haproxy-3.2", config, product="haproxy")))
    assert card.find("pre")[0].text == "new:\n  inner"


def test_versions_that_came_out_alike_share_a_card(results: Results) -> None:
    """One card for two versions, two where one of them failed, each with its versions and its verdict."""
    both = [behind(name, texts.NGINX_INCLUDING, MET) for name in ("nginx-1.26", "nginx-1.30")]
    (card,) = cards(recommended(results, *both))
    assert card.attributes["data-proxies"] == "nginx-1.26 nginx-1.30"
    assert "verified up to 4 s" in card.text
    failed = behind("nginx-1.30", texts.NGINX_INCLUDING, replace(MET, met=False), outcome=Outcome.FAILED)
    good, bad = cards(recommended(results, both[0], failed))
    assert "FAILED" in bad.text
    assert "FAILED" not in good.text


def test_what_no_configuration_meets_is_said(results: Results) -> None:
    """It came as expected, and is not met all the same."""
    (card,) = cards(recommended(results, behind("nginx-1.26", texts.NGINX_INCLUDING, MET, LEFT)))
    (words,) = card.find("p", class_="met")
    assert words.text.startswith("1 of 2 requirements met.")
    assert "A client that leaves stops the model." in words.text


def test_it_stands_before_the_grid(results: Results) -> None:
    """What a person came for comes first, and what is evidence last."""
    page = parse(html_report(recommended(results, behind("nginx-1.26", texts.NGINX_INCLUDING))))
    headings = [heading.text for heading in page.find("h2") if heading.attributes.get("id") != "attention"]
    assert headings == ["What to deploy", "Which line mends which failure", "The evidence", "About this run"]


@pytest.mark.parametrize("without", ["scenario", "products"])
def test_a_run_without_it_says_which_command_measures_it(results: Results, without: str) -> None:
    """A run of one scenario, and a run of nothing, send the reader on."""
    run = results if without == "scenario" else replace(results, scenarios=(), products=())
    assert cards(run) == []
    assert "lab run recommended" in parse(html_report(run)).text
