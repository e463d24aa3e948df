"""The page in a real browser: quiet, within the window, and of use from the keyboard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import Window, open_window
from playwright.async_api import Page

from lab.reports import write_reports
from lab.results import Results

pytestmark = pytest.mark.browser

FIX = "holds-the-answer-back::nginx-1.26::fixed"
BUTTON = f"document.querySelector('[data-copies=\"{FIX}::config\"]')"


PHONE, DESK = 360, 1280
both_widths = pytest.mark.parametrize("width", [PHONE, DESK], ids=["phone", "desk"])


@pytest.fixture(name="width")
def _width() -> int:
    return DESK


@pytest_asyncio.fixture(name="window")
async def _window(results: Results, tmp_path: Path, width: int) -> AsyncIterator[Window]:
    path = write_reports(results, tmp_path)["html"]
    async with open_window(path.as_uri(), viewport={"width": width, "height": 800}) as window:
        yield window


@pytest.fixture(name="page")
def _page(window: Window) -> Page:
    return window.page


@both_widths
async def test_the_page_is_quiet_and_fits(window: Window) -> None:
    """Nothing on the console, nothing fetched but the file, and no sideways scrolling, with all details open."""
    await window.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert await window.fits()
    assert window.complaints == []
    assert window.strangers == []


async def test_the_copy_button_says_that_it_copied(page: Page) -> None:
    """Whichever way the browser allows, the button's own text confirms it and then returns."""
    before = await page.evaluate(f"{BUTTON}.textContent")
    await page.evaluate(f"{BUTTON}.click()")
    said = await page.evaluate(_once_changed(before))
    assert said in ("Copied", "Selected below: press Ctrl+C")
    assert await page.evaluate(_once_changed(said)) == before


async def test_a_refused_copy_leaves_the_text_selected(page: Page, results: Results) -> None:
    """Without clipboard and without the old command, the exact configuration is selected for the keyboard."""
    await page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined}); document.execCommand = () => false; 1"
    )
    before = await page.evaluate(f"{BUTTON}.textContent")
    await page.evaluate(f"{BUTTON}.click()")
    assert await page.evaluate(_once_changed(before)) == "Selected below: press Ctrl+C"
    selected = await page.evaluate("getSelection().toString()")
    assert selected.strip() == results.scenarios[0].proxies[0].cases[1].config.strip()


@both_widths
async def test_the_keyboard_reaches_the_grid(page: Page) -> None:
    """The first stop is the link that skips to the grid, and a few more stops lead to its first cell."""
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    stops = []
    for _ in range(20):
        await page.keyboard.press("Tab")
        stops.append(await page.evaluate("document.activeElement.getAttribute('href')"))
    assert f"#{FIX}" in stops


async def test_every_stop_of_the_keyboard_has_a_name(page: Page) -> None:
    """Links, buttons, summaries and scrolling regions all say what they are."""
    nameless = await page.evaluate(
        "[...document.querySelectorAll('a, button, summary, [tabindex=\"0\"]')]"
        ".filter(one => !one.textContent.trim() && !one.ariaLabel).length"
    )
    assert nameless == 0


async def test_a_link_of_the_grid_leads_to_its_case(page: Page) -> None:
    """Following a cell marks its case as the target."""
    await page.evaluate(f"document.querySelector('.matrix a[href={json.dumps('#' + FIX)}]').click()")
    assert await page.evaluate("document.querySelector(':target').id") == FIX


def _once_changed(text: str) -> str:
    """A promise of the button's next text, once it is no longer this one."""
    look = f"const now = {BUTTON}.textContent; if (now === {json.dumps(text)}) setTimeout(look, 20); else done(now);"
    return f"new Promise(done => {{ const look = () => {{ {look} }}; look(); }})"
