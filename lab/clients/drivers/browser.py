"""EventSource and fetch in a Chromium, whose path is the one argument. Cells and lines as in `_cells`.

Each cell has a window of its own, with a page of the asked address's own origin: so there are no rules about foreign
origins, and the connection is warm, as a real page's is: Chromium asks again by itself when a warm one is closed before
a byte of the reply. A busy machine may still open a new one now and then, for the browser fetches its icon meanwhile.

Warning: EventSource cannot send headers. The lab's name of the request is put on by the window's own settings, which
intercept nothing.
"""

# Runs where other packages are installed than the lab's, so types cannot be checked.
# mypy: ignore-errors
# ruff: noqa: T201

import asyncio
import json
import sys
from pathlib import Path

from playwright.async_api import async_playwright

AT_ONCE = 6
CLIENTS = {
    "chromium-fetch": "fetchChat",
    "chromium-eventsource": "eventSource",
    "chromium-eventsource-naive": "eventSourceNaive",
}
IN_PAGE = """async ([source, name, cell]) => {
    await (await fetch("/lab/health")).text();
    const web = await import("data:text/javascript," + encodeURIComponent(source));
    return await web.measure(cell, web[name]);
}"""


async def _measure(browser, cell, turns, source):
    async with turns:
        window = await browser.new_context(extra_http_headers={"X-Lab-Request": cell["request"]})
        page = await window.new_page()
        await page.goto(cell["base"] + "/lab/health")
        seen = await page.evaluate(IN_PAGE, [source, CLIENTS[cell["client"]], cell])
        await window.close()
    print(json.dumps(seen), flush=True)


async def _main(chromium):
    cells = json.load(sys.stdin)
    source = Path(__file__).with_name("web.mjs").read_text(encoding="utf-8")
    turns = asyncio.Semaphore(AT_ONCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium)
        await asyncio.gather(*(_measure(browser, cell, turns, source) for cell in cells))
        await browser.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
