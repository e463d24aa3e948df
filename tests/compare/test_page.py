"""`compare.html`, and the same in the terminal: every figure is there, and nothing that was not escaped."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from re import findall

import pytest
import pytest_asyncio
from browser import Window, open_window
from judge.builder import Build
from rich.console import Console

from lab.compare.advice import Need, advise
from lab.compare.charts import charts
from lab.compare.figures import figures
from lab.compare.growth import growths
from lab.compare.page import compare_page
from lab.compare.results import FORMAT_VERSION, Comparison, load, save
from lab.compare.text import print_comparison

from .test_figures import ONE_SECOND, timed_out, turn


@pytest.fixture(name="comparison")
def _comparison() -> Comparison:
    """One at once and two at once; of the two, one batch reply in each round was lost at 0.9 s."""
    turns = []
    for number in range(6):
        turns += [turn(stream, ONE_SECOND, first=number) for stream in (True, False)]
        first = 10 + 2 * number
        turns.append(turn(True, ONE_SECOND, ONE_SECOND, first=first))
        turns.append(turn(False, ONE_SECOND, timed_out(0.9), first=first))
    levels = figures(turns)
    return Comparison(
        format_version=FORMAT_VERSION,
        lab_version="1",
        over="https://gateway.example/v1/chat/completions",
        wire_format="openai-chat",
        generations="answers of <b>any</b> length",
        rounds=6,
        started="2026-01-02T03:04:05+00:00",
        need=Need(),
        levels=levels,
        growth=growths(levels),
        advice=advise(levels, Need()),
        notes=("a note with <i>marks</i>",),
        stopped="[bold]429[/bold], rate limit",
        remedy="Wait.",
    )


def test_the_page_refers_to_nothing_and_escapes_what_it_quotes(comparison: Comparison) -> None:
    """No script, no address to fetch, and what came from outside stands there as text."""
    page = compare_page(comparison)
    assert "<script" not in page
    assert findall(r'(?:src|href)="(?!#|data:)', page) == []
    assert "<b>any</b>" not in page
    assert "<i>marks</i>" not in page
    assert "a note with &lt;i&gt;marks" in page


def test_the_advice_stands_before_the_figures_and_all_figures_are_drawn(comparison: Comparison) -> None:
    """Total with first text, connections held, throughput, losses and bytes, each with its levels."""
    page = compare_page(comparison)
    assert comparison.advice is not None
    assert page.index(comparison.advice.sentence.split(",")[0]) < page.index("<figure>")
    found = charts(comparison.levels)
    assert [chart.id for chart in found] == ["lost", "total", "held", "rate", "bytes"]
    assert all([level.name for level in chart.levels] == ["1 at once", "2 at once"] for chart in found)
    assert page.count('role="img"') == 5


def test_bars_are_as_long_as_what_they_stand_for(comparison: Comparison) -> None:
    """Of a stream of 1 s with text from 0.1 s on, a tenth is pale; half of the batch replies reach to half."""
    lost, total, *_ = charts(comparison.levels)
    bar = total.levels[0].bars[0]
    assert bar.wait / bar.length == pytest.approx(0.1, abs=0.01)
    streamed, batch = lost.levels[1].bars
    assert streamed.length == 0
    last = lost.ticks[-1]
    assert batch.length / last.at == pytest.approx(50 / float(last.label.rstrip("%")), abs=0.01)
    assert "50%" in batch.words


@pytest.fixture(name="mostly_lost")
def _mostly_lost(comparison: Comparison) -> Comparison:
    """Six rounds of three at once; two of three batch replies die at 2 s, and all streams come whole after 1 or 5 s."""
    long, turns = Build(whole=50, interval=0.1), []
    for number in range(0, 18, 3):
        turns.append(turn(True, ONE_SECOND, long, long, first=number))
        turns.append(turn(False, ONE_SECOND, timed_out(2.0), timed_out(2.0), first=number))
    levels = figures(turns)
    return replace(comparison, levels=levels, growth=(), advice=advise(levels, Need()), stopped="", remedy="")


def test_what_was_lost_is_said_before_any_time(mostly_lost: Comparison) -> None:
    """On the page and in the terminal the losses come first, and the lost half has no median of survivors."""
    sentence = "Lost: 0 of 18 streams and 12 of 18 batch replies."
    out = io.StringIO()
    print_comparison(mostly_lost, Console(file=out, width=200))
    text = " ".join(out.getvalue().split())
    assert text.index(sentence) < text.index("Total")
    assert "Total 5.00 s (1.00 to 5.00) never" in text
    page = compare_page(mostly_lost)
    assert page.index(sentence) < page.index('id="lost-chart-title"') < page.index('id="total-chart-title"')
    assert ">never" in page


def test_a_bar_of_what_never_came_has_no_end(mostly_lost: Comparison) -> None:
    """It is longer than that of any answer that came, and all the others' places are in seconds that passed."""
    total = next(chart for chart in charts(mostly_lost.levels) if chart.id == "total")
    streamed, batch = total.levels[0].bars
    assert (batch.length, batch.never, batch.words) == (100.0, True, "batch: never (1.00 to never), most were lost")
    assert streamed.length < 100
    assert [tick.label for tick in total.ticks] == ["0", "2", "4"]


def test_a_number_without_bounds_is_saved_too(mostly_lost: Comparison, tmp_path: Path) -> None:
    """compare.json says `never`, and gives the same page."""
    save(mostly_lost, tmp_path / "compare.json")
    assert '"value": "never"' in (tmp_path / "compare.json").read_text()
    assert compare_page(load(tmp_path / "compare.json")) == compare_page(mostly_lost)


def test_no_place_lies_outside_the_picture(comparison: Comparison) -> None:
    """Bars, intervals and ticks are in per cent of the width."""
    for chart in charts(comparison.levels):
        places = [tick.at for tick in chart.ticks]
        places += [
            place
            for level in chart.levels
            for bar in level.bars
            for place in (bar.wait, bar.length, bar.low, bar.high)
            if place is not None
        ]
        assert min(places) >= 0
        assert max(places) <= 100


def test_what_was_saved_gives_the_same_page(comparison: Comparison, tmp_path: Path) -> None:
    """From compare.json every report can be made again."""
    save(comparison, tmp_path / "compare.json")
    assert compare_page(load(tmp_path / "compare.json")) == compare_page(comparison)


def test_a_comparison_without_figures_has_a_page(comparison: Comparison) -> None:
    """What ended it stands there."""
    page = compare_page(replace(comparison, levels=(), growth=(), advice=None, stopped="401, no key"))
    assert "401, no key" in page
    assert "<figure>" not in page


def test_the_terminal_has_the_same_and_quotes_without_markup(comparison: Comparison) -> None:
    """Advice first, losses with their timeout or ending, and no word is taken for a style."""
    out = io.StringIO()
    print_comparison(comparison, Console(file=out, width=100))
    text = " ".join(out.getvalue().split())
    assert comparison.advice is not None
    assert text.startswith(comparison.advice.sentence[:30])
    assert "[bold]429[/bold], rate limit" in text
    assert "6 of 12" in text
    assert "a note with <i>marks</i>" in text


@pytest.mark.browser
class TestInABrowser:
    @pytest_asyncio.fixture(name="window", params=[360, 1200])
    async def _window(
        self, comparison: Comparison, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[Window]:
        path = tmp_path / "compare.html"
        path.write_text(compare_page(comparison))
        async with open_window(path.as_uri(), viewport={"width": request.param, "height": 800}) as window:
            yield window

    async def test_it_is_quiet_and_fits(self, window: Window) -> None:
        """Nothing on the console, nothing fetched, and no sideways scrolling on a phone or a desk."""
        assert await window.fits()
        assert window.complaints == []
        assert window.strangers == []
