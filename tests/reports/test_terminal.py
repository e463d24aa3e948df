"""The summary in the terminal, as a pipe and as a narrow window see it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lab.reports import describe_case, print_results
from lab.reports.phrases import proxies_of
from lab.results import ProxyResult, Results


def summary(results: Results, width: int, report: Path | None = None, *, colours: bool = False) -> str:
    """What a file of this width would receive."""
    file = io.StringIO()
    print_results(results, Console(file=file, width=width, force_terminal=colours), report)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_no_line_is_wider_than_the_window(results: Results, width: int) -> None:
    """Every line fits, from half a window to a wide one."""
    assert max(map(len, summary(results, width).splitlines())) <= width


def test_a_pipe_gets_no_colours(results: Results) -> None:
    """Without a terminal there is no escape sequence, not even one from a proxy's own log."""
    assert "\x1b" not in summary(results, 80)


def test_a_log_cannot_colour_the_terminal(results: Results) -> None:
    """The sample's log line has a red word of its own; the terminal gets only our styles."""
    assert "\x1b[31mALERT" not in summary(results, 80, colours=True)


def test_a_symptom_that_was_reproduced_is_not_coloured_like_a_warning(results: Results) -> None:
    """Nothing of a run that went as it should is yellow or red."""
    text = summary(replace(results, scenarios=results.scenarios[:1]), 120, colours=True)
    assert "symptom reproduced" in text
    assert not re.search(r"\x1b\[(?:\d+;)*(?:31|33|91|93)m", text)


def test_wide_windows_have_a_column_for_each_proxy(results: Results) -> None:
    """With room for the words, one line names all four proxies in the order of their products."""
    heading = next(line for line in summary(results, 120).splitlines() if "Scenario" in line)
    assert heading.split() == ["Scenario", "nginx-1.26", "nginx-1.30", "haproxy-3.2", "envoy-1.40"]


def test_a_cell_condenses_several_fixes(results: Results) -> None:
    """Two fixes of one scenario behind one proxy are one line with their number."""
    lines = summary(results, 120).splitlines()
    row = next(number for number, line in enumerate(lines) if "holds-the-answer-back" in line)
    assert "symptom reproduced" in lines[row]
    assert "verified x2" in lines[row + 1]


def test_narrow_windows_have_a_line_for_each_proxy(results: Results) -> None:
    """At 80 columns four proxies do not fit beside each other, so each has its line."""
    assert any(
        line.split()[:3] == ["idle-timeout", "nginx-1.26", "reproduced,"] for line in summary(results, 80).splitlines()
    )


def test_failures_say_what_was_required_expected_and_seen(results: Results) -> None:
    """A failed case is explained below the grid, with the end of the proxy's log."""
    text = summary(results, 120)
    below = text[text.index("idle-timeout::haproxy-3.2::fixed: FAILED") :]
    assert "Requirement  A silence of the model does not end the answer." in below
    assert "Expected     complete, 16 of 16 tokens" in below
    assert "Actual       cut after a silence of 2.00 s, 6 of 16 tokens" in below
    assert "ALERT <script>alert('log')</script>" in below


def test_skips_are_counted_with_their_reasons(results: Results) -> None:
    """No skip is silent: the number, the reason and the names stand at the end."""
    text = summary(results, 120)
    assert "1 skipped" in text
    assert "no image for haproxy-3.2 on this machine" in text
    assert "total-timeout::haproxy-3.2::not-affected" in text


def test_a_side_that_was_measured_twice_is_named_with_the_reason(results: Results) -> None:
    """It passed, so nothing else would tell of it; and where it did not, the explanation says so too."""
    scenario = results.scenarios[1]
    proxy = scenario.proxies[1]
    twice = tuple(replace(case, measured=2, busy="gap: half asleep") for case in proxy.cases)
    changed = replace(scenario, proxies=(replace(proxy, cases=twice),))
    text = summary(replace(results, scenarios=(changed,)), 120)
    assert f"{len(twice)} measured again: the machine was busy" in text
    assert "idle-timeout::haproxy-3.2::broken" in text
    assert "measured twice: the machine was busy (gap: half asleep)" in describe_case("fixed", twice[1])
    often = replace(twice[1], measured=4)
    assert "measured 4 times: the machine was busy (gap: half asleep)" in describe_case("fixed", often)
    assert "measured again" not in summary(results, 120)


def test_the_wall_time_stands_beside_the_longest_case(results: Results) -> None:
    """The reader sees how much of the run was waiting for one case."""
    text = summary(results, 120, Path("out/report.html"))
    assert re.search(r"Wall time +63\.4 s", text)
    assert "60.7 s, idle-timeout::nginx-1.26::real-defaults" in text
    assert "out/report.html" in text


def test_markup_of_rich_in_a_log_is_text(results: Results) -> None:
    """Brackets in what a proxy wrote are no style for Rich."""
    assert "[critical][main] error initializing" in summary(results, 120)


def test_an_empty_run_says_so(results: Results) -> None:
    """A run without scenarios is a report too."""
    assert "none" in summary(replace(results, scenarios=()), 80)


def test_a_described_side_starts_with_its_id_and_ends_with_its_log(results: Results) -> None:
    """What pytest prints names the test, the finding that was not met, and the log's last line."""
    case = results.scenarios[1].proxies[1].cases[1]
    lines = describe_case("idle-timeout::haproxy-3.2::fixed", case).splitlines()
    assert lines[0] == "idle-timeout::haproxy-3.2::fixed: FAILED"
    assert [line.split()[0] for line in lines[1:4]] == ["Requirement", "Expected", "Actual"]
    assert lines[-1].strip() == "ALERT <script>alert('log')</script>"


def test_a_described_side_without_verdict_gives_the_problem(results: Results) -> None:
    """Where nothing was judged, the proxy's own message is the explanation."""
    case = results.scenarios[1].proxies[2].cases[1]
    assert "Problem  envoy-1.40 refused fixed.yaml" in describe_case("idle-timeout::envoy-1.40::fixed", case)


def test_the_versions_of_a_product_stand_by_number(results: Results) -> None:
    """2.8 is older than 2.11, whatever their letters say."""
    proxies = tuple(ProxyResult(f"caddy-{number}", "caddy", ()) for number in ("2.11", "2.8"))
    only = replace(results, scenarios=(replace(results.scenarios[0], proxies=proxies),))
    assert proxies_of(only) == ["caddy-2.8", "caddy-2.11"]
