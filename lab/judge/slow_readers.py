"""The rule about clients that stop reading for a while. Pure."""

from __future__ import annotations

from lab.judge.exchanged import Exchanged, Exchanges
from lab.judge.rules import Checked, Reports, all_complete

MOST_IN_SOCKETS = 256 * 1024
"""Bytes that may lie between a path and a client that has stopped reading, and has a small buffer as the probe's; some
100,000 were seen. A path that has no more than that to send does not notice the pause."""


def kept_for_slow_readers(exchanges: Exchanges, reports: Reports) -> Checked:
    """Every exchange comes to its end, and the pause of one at least held its path up."""
    found = all_complete(exchanges, reports)
    if not found.met or any(_held_up(each) for each in exchanges.values()):
        return found
    needs = f"no client that stopped reading had more than {MOST_IN_SOCKETS:,} bytes yet to come"
    return Checked(found.expected, needs, met=False, conclusive=False)


def _held_up(each: Exchanged) -> bool:
    """Whether more was left after the pause than the path can have got rid of before its end."""
    trace = each.evidence.trace
    pause = trace.pause
    return pause is not None and sum(len(read.data) for read in trace.body if read.at >= pause.until) > MOST_IN_SOCKETS
