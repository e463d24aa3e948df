"""`python -m lab.model`: serve until told to stop.

Needs nothing but aiohttp, uvloop and pydantic, since the container image has nothing else; hence argparse.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import uvloop

from lab.model.browsers import is_loopback
from lab.model.connections import MOST, why_not_listening
from lab.model.secret import SECRET_VARIABLE, SecretError, read_secret
from lab.model.server import ModelServer
from lab.open_files import allow_most


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.model", description="The fake token-emitting model server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--doors",
        type=lambda text: [int(port) for port in text.split(",")],
        default=[],
        metavar="PORT,PORT",
        help="further ports to listen on; the ledger tells at which a request came",
    )
    parser.add_argument(
        "--secret-file", type=Path, help=f"file with the secret that requests must carry; or set {SECRET_VARIABLE}"
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=MOST,
        help="most of them at once; further ones are closed (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        secret = read_secret(options.secret_file, os.environ)
    except SecretError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    allow_most()
    try:
        uvloop.run(_serve(options, secret))
    except OSError as error:
        place = f"{options.host}:{options.port}" + (" and its doors" if options.doors else "")
        sys.stderr.write(f"cannot listen on {place}: {why_not_listening(error)}; --port 0 takes a free port\n")
        return 3
    return 0


async def _serve(options: argparse.Namespace, secret: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` asks for a server that outlives its terminal.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, doors, connections = options.host, options.doors, options.connections
    async with ModelServer(host, options.port, secret=secret, doors=doors, connections=connections) as server:
        # What stands now stays; without this, each full collection walks it and delays every stream.
        gc.collect()
        gc.freeze()
        if secret is None and not is_loopback(host):
            sys.stderr.write(
                f"warning: {host} can be reached from other machines, and without a secret this server obeys "
                f"everybody, web pages included; give --secret-file FILE or {SECRET_VARIABLE}\n"
            )
            sys.stderr.flush()
        sys.stdout.write(f"listening on {server.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
