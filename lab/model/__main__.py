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
import time
from pathlib import Path

import uvloop

from lab.model.browsers import is_loopback
from lab.model.connections import MOST, why_not_listening
from lab.model.ledger import MOST_ATTEMPTS
from lab.model.secret import SECRET_VARIABLE, SecretError, read_secret
from lab.model.server import ModelServer
from lab.open_files import allow_most

_TIDY_EVERY, _TIDY_AT_LAST = 1.0, 120.0
# Collections of the young objects after which Python itself would look among all.
_NEVER = 2**31 - 1


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.model", description="The fake token-emitting model server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--further-ports",
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
    parser.add_argument(
        "--attempts",
        type=int,
        default=MOST_ATTEMPTS,
        help="most that the ledger keeps; the oldest go (default: %(default)s)",
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
        place = f"{options.host}:{options.port}" + (" and its further ports" if options.further_ports else "")
        sys.stderr.write(f"cannot listen on {place}: {why_not_listening(error)}; --port 0 takes a free port\n")
        return 3
    return 0


async def _serve(options: argparse.Namespace, secret: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` asks for a server that outlives its terminal.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host = options.host
    async with ModelServer(
        host,
        options.port,
        secret=secret,
        further_ports=options.further_ports,
        connections=options.connections,
        attempts=options.attempts,
    ) as server:
        tidying = asyncio.create_task(_tidy(server))
        if secret is None and not is_loopback(host):
            sys.stderr.write(
                f"warning: {host} can be reached from other machines, and without a secret this server obeys "
                f"everybody, web pages included; give --secret-file FILE or {SECRET_VARIABLE}\n"
            )
            sys.stderr.flush()
        sys.stdout.write(f"listening on {server.base_url}\n")
        sys.stdout.flush()
        await stop.wait()
        tidying.cancel()


async def _tidy(server: ModelServer) -> None:
    """Have Python look for cyclic garbage among all objects when nobody waits for a token, else every other minute.

    By itself it looks whenever there are a quarter more of them. With ten thousand streams that takes a second, and as
    they come it happens again and again: the first token of one stream in a hundred was 2 s late for it, and is 11 ms
    late without it.
    """
    # What stands now stays.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], _NEVER)
    looked = time.monotonic()
    while True:
        await asyncio.sleep(_TIDY_EVERY)
        waited = time.monotonic() - looked
        if gc.get_count()[2] and (not server.answering or waited > _TIDY_AT_LAST):
            gc.collect()
            looked = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
