"""The page in a real browser, before real proxies: `lab race` as users start it."""

from __future__ import annotations

import re
import signal
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from browser import open_window
from markers import grid
from playwright.async_api import Page
from processes import LAB, LIMIT

from lab.race.panes import ANSWER, DIES_AFTER

PICTURE = Path(__file__).parents[2] / "docs" / "race.png"

pytestmark = [pytest.mark.engine, pytest.mark.browser]

DESK, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
SHOT = {"width": 1200, "height": 888}
"""What the picture shows: the first half of the page, up to the end of the configurations."""
SLACK = 1.5
"""Seconds that a busy machine may take from a time on the page; the waiting differs by more than twice as much."""
TOO_FAINT = 4.5
"""The contrast below which WCAG 2 calls text of this size hard to read."""


@pytest.fixture(name="address", scope="module")
def _address() -> Iterator[str]:
    """The page's address, as the command prints it; ends the command with Ctrl-C."""
    with subprocess.Popen([LAB, "race", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found[0]
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT) == 128 + signal.SIGINT
        finally:
            process.kill()


@pytest.fixture(name="look")
def _look() -> dict[str, Any]:
    """What the browser's window is like; tests replace it."""
    return {"viewport": DESK}


@pytest_asyncio.fixture(name="page")
async def _page(address: str, look: dict[str, Any]) -> AsyncIterator[Page]:
    """The page, ready; whatever the browser complains of, or asks others for, is a failure."""
    async with open_window(address, **look) as window:
        await window.ready()
        yield window.page
    assert [one for one in window.complaints if not _by_the_cut(one)] == []
    assert [asked for asked in window.requests if not asked.startswith(address)] == []


def _by_the_cut(complaint: str) -> bool:
    """Chromium's own line about a reply that was cut, which is what the second half shows."""
    return "ERR_INCOMPLETE_CHUNKED_ENCODING" in complaint


async def finished(page: Page, section: str) -> None:
    """Wait for the page's own word that it is over."""
    await page.wait_for_selector(f"#{section}[data-state=finished]")


async def time_of(page: Page, pane: str, figure: str) -> float:
    """Seconds that a pane shows."""
    return float((await page.inner_text(f"#{pane} .{figure}")).removesuffix(" s"))


async def test_the_total_is_equal_and_the_waiting_is_not(page: Page) -> None:
    """By keyboard alone: three totals alike; the first token early on the clean path, and late on the others."""
    await tab_to(page, "start")
    await page.keyboard.press("Enter")
    await finished(page, "race")
    totals = [await time_of(page, pane, "total") for pane in ("clean", "held", "batch")]
    firsts = [await time_of(page, pane, "first-token") for pane in ("clean", "held", "batch")]
    assert min(totals) >= ANSWER.length
    assert max(totals) - min(totals) < SLACK
    assert firsts[0] < ANSWER.length / 2
    assert min(firsts[1:]) >= ANSWER.length
    answers = {await page.inner_text(f"#{pane} .words") for pane in ("clean", "held", "batch")}
    assert [len(answer.split()) for answer in answers] == [ANSWER.tokens]
    assert await page.evaluate("document.activeElement.id") == "start"


async def tab_to(page: Page, name: str) -> None:
    """Press the tabulator until that element has the focus."""
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == name:
            return
    raise AssertionError(f"{name} cannot be reached with the keyboard")


async def test_a_page_without_anything_to_race_says_so(address: str) -> None:
    """Whoever opens it when the command has just ended is told what to do, and no empty form."""
    async with open_window("about:blank") as window:
        await window.page.route("**/races", lambda route: route.abort())
        await window.page.goto(address)
        await window.page.wait_for_selector("body[data-state=failed]")
        assert "Reload this page" in await window.page.inner_text("#sum")


async def test_a_key_starts_the_race_from_anywhere(page: Page) -> None:
    """Ctrl+Enter, whatever has the focus; a second press while it runs changes nothing."""
    await page.focus("#proxy")
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector("#race[data-state=running]")
    await page.keyboard.press("Control+Enter")
    await finished(page, "race")
    assert len((await page.inner_text("#clean .words")).split()) == ANSWER.tokens


async def test_the_switches_change_what_is_raced(page: Page) -> None:
    """Each proxy has its own configurations, whose text stands under the panes with its differences marked."""
    await page.select_option("#proxy", "haproxy-3.2")
    await page.select_option("#pair", label="Tokens are held for a moment each and arrive in bursts")
    assert "haproxy-3.2, broken" in await page.inner_text("#held .path")
    assert (await page.inner_text("#clean mark")).strip() == "option http-no-delay"
    assert "bind :${PORT}" in await page.inner_text("#held code")
    await page.select_option("#proxy", "direct")
    assert await page.locator("#held details").is_hidden()


async def test_bursts_show(page: Page) -> None:
    """HAProxy as installed hands on every token, but several at a time: fewer pieces than on the clean path."""
    await page.select_option("#proxy", "haproxy-3.2")
    await page.click("#start")
    await finished(page, "race")
    clean, held = [int((await page.inner_text(f"#{pane} .came")).split()[0]) for pane in ("clean", "held")]
    assert 1 < held < clean


async def test_a_hidden_crash_is_shown_as_whole_by_one_and_told_by_the_other(page: Page) -> None:
    """A clean end on half an answer: one pane has its tick, the other the reason; asked again it is whole."""
    await page.click("#die")
    await finished(page, "dying")
    assert "no error came" in await page.inner_text("#naive .outcome")
    assert "complete" in (await page.inner_text("#naive .outcome")).lower()
    assert "no-marker" in await page.inner_text("#handled .outcome")
    assert len((await page.inner_text("#handled .words")).split()) == DIES_AFTER
    await page.click("#handled .outcome button")
    await page.wait_for_selector("#handled[data-state=whole]")
    assert len((await page.inner_text("#handled .words")).split()) == ANSWER.tokens


async def test_a_visible_crash_reaches_the_browser_as_an_error(page: Page) -> None:
    """Through a recommended configuration the browser's own fetch fails, and the consumer says cut."""
    visible = await page.locator("#crash option", has_text="nginx-1.26, recommended").get_attribute("value")
    await page.select_option("#crash", visible)
    await page.click("#die")
    await finished(page, "dying")
    assert "swallowed the error" in await page.inner_text("#naive .outcome")
    assert "partial, cut" in await page.inner_text("#handled .outcome")


both_widths = pytest.mark.parametrize("look", [{"viewport": DESK}, {"viewport": PHONE}], ids=["desk", "phone"])


@both_widths
async def test_no_configuration_is_wider_than_its_pane(page: Page) -> None:
    """Whatever is chosen, with the configurations open: long lines scroll inside, and nothing juts out of its pane."""
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for select, within in (("#proxy", "#pair"), ("#crash", "")):
        for value in await values(page, select):
            await page.select_option(select, value)
            for inner in await values(page, within) if within else [""]:
                if inner:
                    await page.select_option(within, inner)
                assert await page.evaluate(JUTTING_OUT) == [], (value, inner)


async def values(page: Page, select: str) -> list[str]:
    """What can be chosen."""
    return list(await page.evaluate(f"[...document.querySelector('{select}').options].map((one) => one.value)"))


@pytest.mark.parametrize(
    "look",
    grid(
        [{"viewport": PHONE, "color_scheme": scheme} for scheme in ("dark", "light")],
        quick=[{"viewport": PHONE, "color_scheme": "dark"}],
    ),
)
async def test_a_phone_needs_no_sideways_scrolling(page: Page) -> None:
    """Before and after, with the configurations closed at first and then open."""
    assert await page.locator("details[open]").count() == 0
    await page.click("#die")
    await finished(page, "dying")
    await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    widths = await page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1]


@pytest.mark.parametrize(
    "look",
    grid(
        [{"viewport": DESK, "color_scheme": scheme} for scheme in ("light", "dark")],
        quick=[{"viewport": DESK, "color_scheme": "light"}],
    ),
)
async def test_every_text_can_be_read(page: Page) -> None:
    """In light and dark, with both halves played: no text has less contrast than WCAG asks for."""
    await page.click("#start")
    await page.click("#die")
    await finished(page, "race")
    await finished(page, "dying")
    faint = [one for one in await page.evaluate(CONTRASTS) if one["contrast"] < TOO_FAINT]
    assert faint == []


@pytest.mark.parametrize("look", [{"viewport": PHONE}])
async def test_on_a_phone_all_panes_are_in_sight_and_the_clock_covers_none(page: Page) -> None:
    """While it runs: below the clock's line come three titles and the words of each, without scrolling."""
    await page.evaluate("window.caught = freezeAt('clean', 9); null")
    await page.click("#start")
    await page.evaluate("window.caught")
    boxes = "(name) => [...document.querySelectorAll(name)].map((one) => one.getBoundingClientRect())"
    (clock,) = await page.evaluate(f"({boxes})('.clock').map((one) => one.bottom)")
    panes = await page.evaluate(f"({boxes})('#race .pane').map((one) => [one.top, one.bottom])")
    assert len(panes) == 3
    assert clock <= min(top for top, _ in panes)
    assert max(bottom for _, bottom in panes) <= PHONE["height"]


@pytest.mark.parametrize("look", [{"viewport": DESK, "reduced_motion": "reduce"}])
async def test_little_motion_is_still_a_whole_race(page: Page) -> None:
    """Painted twice a second only, the page ends with the same facts."""
    await page.click("#start")
    await finished(page, "race")
    assert len((await page.inner_text("#clean .words")).split()) == ANSWER.tokens
    assert "Total:" in await page.inner_text("#status")


async def test_everything_to_operate_has_a_name(page: Page) -> None:
    """Selects, buttons, summaries and scrolling regions say what they are."""
    nameless = await page.evaluate(
        "[...document.querySelectorAll('button, select, summary, [tabindex=\"0\"]')]"
        ".filter((one) => !one.closest('[hidden]') && !one.textContent.trim() && !one.ariaLabel && !one.labels?.length)"
        ".map((one) => one.outerHTML)"
    )
    assert nameless == []


@pytest.mark.parametrize("look", [{"viewport": DESK, "device_scale_factor": 2, "color_scheme": "light"}])
async def test_the_picture_of_the_readme(page: Page, tmp_path: Path) -> None:
    """In the middle of the race: text on the clean path, none on the others. The picture in docs is of the same size.

    To renew it, delete docs/race.png and run this test.
    """
    await page.evaluate("window.caught = freezeAt('clean', 9); null")
    await page.click("#start")
    await page.evaluate("window.caught")
    assert len((await page.inner_text("#clean .words")).split()) >= 9
    assert await page.inner_text("#held .words") == await page.inner_text("#batch .words") == ""
    path = tmp_path / "race.png" if PICTURE.exists() else PICTURE
    await page.screenshot(path=path, clip={"x": 0, "y": 0, **SHOT}, full_page=True)
    assert _size(PICTURE) == _size(path) == (2 * SHOT["width"], 2 * SHOT["height"])


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, which stand in its first chunk."""
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height


JUTTING_OUT = """[...document.querySelectorAll(".pane > *")].filter((one) => {
  const [inner, outer] = [one, one.parentElement].map((each) => each.getBoundingClientRect());
  return one.checkVisibility() && (inner.right > outer.right || inner.left < outer.left || outer.right > innerWidth);
}).map((one) => one.outerHTML.slice(0, 80))"""

CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("template, option")) continue;
    const [a, b] = [parts(getComputedStyle(element).color), behind(element)].map(light).sort((x, y) => y - x);
    found.push({ text: element.textContent.trim().slice(0, 40), contrast: (a + 0.05) / (b + 0.05) });
  }
  return found;
})()"""
