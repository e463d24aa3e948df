"""Chromium as the tests use it, driven by Playwright; what a page complains of or asks others for is written down.

Each window is a browser of its own with a profile of its own, and its background services are off, so that it asks the
network for nothing. A machine without a Chromium fails these tests; `make test` brings one before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Error, Page, async_playwright

from lab.clients.environments import BROWSER

LIMIT = 120_000.0
"""Milliseconds that a busy machine may take for a step; two free cores take a few hundred."""

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@dataclass
class Window:
    """One page in one browser.

    Attributes:
        page: Playwright's own.
        complaints: all that was written to the console, uncaught errors and policy violations included.
        requests: every address that was asked for.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(LIMIT)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: self.requests.append(asked.url))

    async def ready(self) -> None:
        """Wait until the page says that it is.

        Raises:
            AssertionError: it never does; says what the page complained of.
        """
        try:
            await self.page.wait_for_selector("body[data-state=ready]")
        except Error as error:
            said = (await self.page.inner_text("body"), self.complaints, self.requests)
            raise AssertionError(f"the page is not ready; it shows, complains of and asked for {said}") from error

    async def fits(self) -> bool:
        """Whether nothing has to be scrolled sideways."""
        return bool(
            await self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        )

    @property
    def strangers(self) -> list[str]:
        """Addresses that were asked for beside files of this machine."""
        return [address for address in self.requests if not address.startswith(("file:", "data:"))]


@asynccontextmanager
async def open_window(address: str, **look: Any) -> AsyncIterator[Window]:
    """Start Chromium on an address; `look` is what Playwright's `new_page` takes."""
    chromium = BROWSER.program and BROWSER.program.find()
    assert chromium, "there is no Chromium on this machine; `python tests/set_up.py` brings one"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_FLAGS, timeout=LIMIT)
        try:
            window = Window(await browser.new_page(**look))
            await window.page.goto(address)
            yield window
        finally:
            await browser.close()
