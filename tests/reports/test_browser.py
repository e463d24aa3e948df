"""The page in a real browser: quiet, within the window, and of use from the keyboard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
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


async def test_without_a_script_all_is_there(results: Results, tmp_path: Path) -> None:
    """The address of a case shows it, however deep it is folded, and no filter is offered that would do nothing."""
    path = write_reports(results, tmp_path)["html"]
    async with open_window(f"{path.as_uri()}#{FIX}", java_script_enabled=False) as window:
        await window.page.locator(f'[id="{FIX}"]').wait_for(state="visible")
        assert not await window.page.locator("form.filter").is_visible()


async def test_a_long_run_has_a_short_page(results: Results, tmp_path: Path) -> None:
    """Sixteen scenarios, as many as the lab has, take less than 6,000 px with all details closed."""
    scenarios = [replace(results.scenarios[0], id=f"scenario-{number}") for number in range(16)]
    path = write_reports(replace(results, scenarios=tuple(scenarios)), tmp_path)["html"]
    async with open_window(path.as_uri(), viewport={"width": DESK, "height": 800}) as window:
        assert await window.page.evaluate("document.documentElement.scrollHeight") < 6000


async def rows(page: Page) -> list[str]:
    """The ids of the scenarios whose rows can be seen; the sections below must say the same."""
    shown: list[str] = await page.evaluate(
        "[...document.querySelectorAll('tr[data-scenario]')].filter(one => one.checkVisibility())"
        ".map(one => one.dataset.scenario)"
    )
    assert shown == await page.evaluate(
        "[...document.querySelectorAll('details.scenario')].filter(one => one.checkVisibility()).map(one => one.id)"
    )
    return shown


async def blocks(page: Page) -> list[str]:
    """The proxies of the blocks that can be seen."""
    shown: list[str] = await page.evaluate(
        "[...document.querySelectorAll('.block')].filter(one => one.checkVisibility()).map(one => one.dataset.proxies)"
    )
    return shown


async def test_the_page_can_be_filtered_by_product_version_failure_and_text(page: Page) -> None:
    """Each narrows grid and evidence alike, together they narrow further, and one button shows all again."""
    await page.locator("[name=product]").select_option("HAProxy")
    assert await rows(page) == ["holds-the-answer-back", "idle-timeout", "total-timeout", "died-in-the-middle"]
    assert set(await blocks(page)) == {"haproxy-3.2"}
    # A title over more columns than are shown would keep their place empty.
    assert await page.evaluate("document.querySelector('.matrix .group th').colSpan") == 2
    await page.locator("[name=text]").fill("8 BURSTS")
    assert await rows(page) == ["holds-the-answer-back"]
    assert "1 of 4" in await page.locator("form.filter output").inner_text()
    await page.get_by_role("button", name="Show all").click()
    await page.wait_for_function("!document.querySelector('form.filter output').textContent")
    assert len(await rows(page)) == 4
    await page.locator("[name=version]").select_option("nginx-1.30")
    assert await rows(page) == ["holds-the-answer-back", "died-in-the-middle"]
    assert set(await blocks(page)) == {"nginx-1.30"}
    await page.locator("[name=failure]").select_option("Half an answer looks like a whole one")
    assert await rows(page) == ["died-in-the-middle"]
    await page.locator("[name=text]").fill("no such words")
    assert await rows(page) == []
    assert "0 of 4" in await page.locator("form.filter output").inner_text()
    # A link never leads to nothing: what it leads to is shown again.
    await page.evaluate(f"location.hash = {json.dumps('#' + FIX)}")
    await page.locator(f'[id="{FIX}"]').wait_for(state="visible")
    assert len(await rows(page)) == 4


def _once_changed(text: str) -> str:
    """A promise of the button's next text, once it is no longer this one."""
    look = f"const now = {BUTTON}.textContent; if (now === {json.dumps(text)}) setTimeout(look, 20); else done(now);"
    return f"new Promise(done => {{ const look = () => {{ {look} }}; look(); }})"
