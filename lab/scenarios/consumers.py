"""Replays an exchange to consumers and asks what each would tell its application.

The probe's record is replayed, not the exchange: every consumer gets the same bytes in the same pieces
and the same end, so a difference between two consumers is theirs alone. A careless consumer is a
function in a file beside its scenario, named `file.py:function`; the careful one is `lab.consume`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType

from lab import consume
from lab.catalogue import Scenario
from lab.catalogue.loader import FILE
from lab.errors import BadInput
from lab.evidence import Evidence, Trace, TransportEnd
from lab.files import stay_inside

Consumer = Callable[..., consume.Answer | None]

CAREFUL = "lab.consume"

_TIMEOUTS = frozenset(end for end in TransportEnd if end.name.endswith("TIMEOUT"))
_CLEAN = frozenset({TransportEnd.FRAMED, TransportEnd.CLOSED})


def consumer_named(name: str, folder: Path) -> Consumer:
    """The consumer of that name, for a scenario in that folder.

    Raises:
        BadInput: names the scenario's folder, the file and the function.
    """
    if name == CAREFUL:
        return consume.consume
    file, _, function = name.partition(":")
    path = folder / file
    if not path.is_file() or not function:
        raise BadInput(f"{folder}: no consumer {name!r}", f"Write {CAREFUL}, or file.py:function beside the scenario.")
    # Scenarios of one collection may share a consumer; what is beside no scenario is none of theirs.
    beside_another = (Path(os.path.realpath(path)).parent / FILE).is_file()
    stay_inside(path, folder.parent if beside_another else folder)
    found = getattr(_load(path), function, None)
    if not callable(found):
        raise BadInput(f"{path}: no function {function!r}", "It must take what lab.consume.consume takes.")
    consumer: Consumer = found
    return consumer


def replay(consumer: Consumer, evidence: Evidence) -> consume.Answer | None:
    """What the consumer makes of the exchange; None where it reports nothing.

    A consumer that lets the client's exception through has told its application that the call failed.
    """
    trace = evidence.trace
    try:
        return consumer(
            _pieces(trace),
            wire_format=evidence.wire_format,
            status=trace.status or 0,
            headers=trace.headers,
        )
    except TimeoutError as error:
        return consume.Failed(consume.FailedReason.TIMEOUT, str(error))
    except ConnectionError as error:
        return consume.Failed(consume.FailedReason.CUT, str(error))


def check_consumers(scenarios: Iterable[Scenario]) -> None:
    """Find every consumer that the scenarios name, before anything is started for them.

    Raises:
        BadInput: as `consumer_named`.
    """
    for scenario in scenarios:
        for name in dict.fromkeys(name for case in scenario.cases for name in case.consumers):
            consumer_named(name, scenario.folder)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lab_consumer_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput(f"{path}: no Python module", "Name a .py file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f"{path}: cannot be imported: {error!r}", "Mend the consumer's file.") from error
    return module


def _pieces(trace: Trace) -> Iterator[bytes]:
    """The body as a client library hands it over: pieces, then an exception if the end was not clean."""
    for read in trace.body:
        yield read.data
    if trace.end in _TIMEOUTS:
        raise TimeoutError(f"{trace.end}: {trace.detail}")
    if trace.end is TransportEnd.RESET:
        raise ConnectionResetError(trace.detail or "connection reset by peer")
    if trace.end not in _CLEAN:
        raise ConnectionError(f"{trace.end}: {trace.detail}")
