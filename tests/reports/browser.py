"""Drives Chromium over its own protocol, with what the lab depends on anyway: aiohttp.

Each `open_page` is one browser with a profile of its own in a temporary folder; nothing is shared, and
background services are off, so that the browser asks the network for nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

START_SECONDS = 60
"""How long a busy machine may take to start the browser."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)

_LOADED = "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))"

_COMPLAINTS = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}


class Page:
    """One page in one browser; lives as long as the `open_page` that made it.

    Attributes:
        complaints: everything that the page wrote to the console, errors and policy violations included.
        requests: every address that the page asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[dict[str, Any]] = []
        self.requests: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=START_SECONDS)
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") in _COMPLAINTS:
            self.complaints.append(message["params"])
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise, run as if the user had clicked."""
        result = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def open(self, path: Path, width: int) -> None:
        """Load a file in a window of this width, and wait until it stands."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )
        await self.call("Page.navigate", url=path.as_uri())
        await self.evaluate(_LOADED)

    async def press(self, key: str, code: int) -> None:
        """Press one key; `code` is its Windows virtual key code, which Chromium wants."""
        for kind in ("rawKeyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


@asynccontextmanager
async def open_page(path: Path, profile: Path, width: int) -> AsyncIterator[Page]:
    """Start Chromium on a file; `profile` is a folder that does not exist yet."""
    assert CHROMIUM is not None
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert browser.stderr is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            port = await _port(browser.stderr)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as reply:
                target = next(one for one in await reply.json() if one["type"] == "page")
            async with client.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                await page.open(path, width)
                yield page
    finally:
        browser.terminate()
        await browser.wait()


async def _port(messages: asyncio.StreamReader) -> int:
    """The port that the browser chose: it says so on standard error, once it listens."""
    async for line in messages:
        found = re.search(rb"DevTools listening on ws://[^:/]+:(\d+)/", line)
        if found:
            return int(found[1])
    raise AssertionError("chromium ended before it listened")
