"""`python -m lab.model`: serve until told to stop.

Needs nothing but aiohttp, uvloop and pydantic, since the container image has nothing else; hence argparse.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys

import uvloop

from lab.model.server import ModelServer


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.model", description="The fake token-emitting model server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        uvloop.run(_serve(options.host, options.port))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error}\n")
        return 3
    return 0


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ModelServer(host, port) as server:
        # What stands now stays; without this, each full collection walks it and delays every stream.
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"listening on {server.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
