"""A model server that is started anew, at one of several ports: what a balancer meets at a rolling update."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from lab.durations import parse_duration
from lab.model.connections import Connections
from lab.model.ledger import Record

LONGEST_DOWN = 60.0
"""Seconds."""


def restart(request: web.Request, connections: Connections, written: Iterable[Record]) -> web.Response:
    """Have the server at the port that the request names end, and be there again.

    Args:
        request: its query says for how long it is `down`, and whether it is to `drain`.
        connections: of the server.
        written: the records of the replies that are under way.
    """
    port, drain = int(request.match_info["port"]), request.query.get("drain") == "yes"
    try:
        down = parse_duration(request.query.get("down", ""))
    except ValueError as error:
        return web.json_response({"error": f"down: {error}"}, status=400)
    if not connections.restart(port, min(down, LONGEST_DOWN), drain=drain):
        return web.json_response({"error": "no such further port, or it is down already"}, status=404)
    # The replies hear of their connections' ends in a later turn of the loop.
    for record in () if drain else written:
        if record.port == port:
            record.die()
    return web.Response(status=204)
