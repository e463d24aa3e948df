"""The faults: how each one changes what a whole reply would have been.

One table for streams and one for batch replies; each entry takes the script and the fault and returns
the schedule. Pure: a fault is nothing but other steps and another end, and `reply` writes those as it
writes any. A fault strikes right after its token has left (`fin@0`: when the first would have); the
three that spoil the next token (`cut-json`, `cut-utf8`, and `foreign`) strike when that one is due.

`@start` comes before any byte of the reply, so it overrides early headers and heartbeats; so does
`status`. A fault that stands behind the request's own token limit never strikes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TypeVar

from lab.model.steps import PLACEHOLDER, End, Schedule, Script, Step, find_stamps
from lab.plan import NEED_NEXT, Fault, FaultKind
from lab.wire.events import FinishReason
from lab.wire.tokens import read_tokens

CONNECTION_FAULTS = frozenset(
    {FaultKind.FIN, FaultKind.RST, FaultKind.FREEZE, FaultKind.NO_MARKER, FaultKind.CUT_JSON, FaultKind.CUT_UTF8}
)
"""Faults of how a reply is handed over, which leave what the model generates whole."""

_JSON = "application/json"

_Maker = Callable[[Script, Fault], Schedule]
_Item = TypeVar("_Item")


def stream_schedule(script: Script) -> Schedule:
    """The schedule of a streamed reply, without heartbeats."""
    fault = _striking(script)
    if fault is None:
        return _whole(script)
    return _STREAM[fault.kind](script, fault)


def generated_schedule(script: Script) -> Schedule:
    """The stream as the model generates it, whatever becomes of the connection; without heartbeats."""
    fault = _striking(script)
    if fault is None or fault.kind in CONNECTION_FAULTS:
        return _whole(script)
    return _STREAM[fault.kind](script, fault)


def batch_schedule(script: Script) -> Schedule:
    """The schedule of a batch reply: one document, when the last token of a stream would have left."""
    fault = _striking(script)
    if fault is None:
        return _whole_answer(script)
    return _BATCH[fault.kind](script, fault)


def _striking(script: Script) -> Fault | None:
    fault = script.plan.fault
    if fault is None or fault.edge or fault.kind is FaultKind.STATUS:
        return fault
    reached = fault.at < script.tokens if fault.kind in NEED_NEXT else fault.at <= script.tokens
    return fault if reached else None


# Streams


def _stream(script: Script, steps: Callable[[], Iterator[Step]], end_at: float, fault: Fault | None = None) -> Schedule:
    return Schedule(script.plan, steps, script.wire.stream_type, end_at=end_at, fault=str(fault or ""))


def _whole(script: Script) -> Schedule:
    end_at = script.offset_after(script.tokens)

    def steps() -> Iterator[Step]:
        return script.opened(chain(script.token_steps(), script.finish_steps(script.tokens, script.reason, end_at)))

    return _stream(script, steps, end_at)


def _prefix(script: Script, tokens: int) -> Iterator[Step]:
    return script.opened(islice(script.token_steps(), tokens)) if tokens else iter(())


def _stream_end(script: Script, fault: Fault) -> Schedule:
    end, delay = _ENDS[fault.kind], script.plan.fault_delay
    if fault.edge == "start":
        at = script.plan.ttft
        return Schedule(script.plan, _nothing, "", silent=True, end=end, end_at=at, fault=str(fault), fault_at_end=True)
    if fault.edge == "end":
        made = _whole(script)
    else:
        made = _stream(script, partial(_prefix, script, fault.at), script.offset_after(fault.at))
    return replace(made, end=end, end_at=made.end_at + delay, fault=str(fault), fault_at_end=True)


def _stream_error(script: Script, fault: Fault) -> Schedule:
    at = script.offset_after(fault.at)
    event = script.wire.error_event(script.wire.error_kind(500), _words_of_error(fault))
    error = Step(at, event, fault=True)
    return _stream(script, lambda: chain(_prefix(script, fault.at), [error]), at, fault)


def _stream_no_marker(script: Script, fault: Fault) -> Schedule:
    made = _stream(script, partial(_prefix, script, fault.at), script.offset_after(fault.at), fault)
    return replace(made, fault_at_end=True)


def _stream_forge(script: Script, fault: Fault) -> Schedule:
    at = script.offset_after(fault.at)

    def steps() -> Iterator[Step]:
        finish = script.finish_steps(fault.at, script.plan.finish, at)
        return script.opened(_marked(chain(islice(script.token_steps(), fault.at), finish), fault.at))

    return _stream(script, steps, at, fault)


def _stream_cut(script: Script, fault: Fault) -> Schedule:
    def steps() -> Iterator[Step]:
        tokens = script.token_steps()
        yield from islice(tokens, fault.at)
        last = next(tokens)
        bracket = last.payload.index(_bracket(script, fault)) + _BEHIND[fault.kind]
        yield Step(last.offset, last.payload[:bracket], fault=True)

    return _stream(script, lambda: script.opened(steps()), script.offset_after(fault.at + 1), fault)


def _stream_spoil(script: Script, fault: Fault) -> Schedule:
    end_at = script.offset_after(script.tokens)

    def estranged(step: Step) -> Step:
        return step._replace(payload=_estranged(script, step.payload.decode()).encode())

    def steps() -> Iterator[Step]:
        spoiled = _spoiled(script.token_steps(), fault, estranged)
        finish = script.finish_steps(script.tokens, script.reason, end_at)
        return script.opened(_marked(chain(spoiled, finish), fault.at))

    return _stream(script, steps, end_at, fault)


def _status(script: Script, fault: Fault) -> Schedule:
    kind = script.wire.error_kind(fault.at)
    body = script.wire.error_body(kind, f"the plan asked for HTTP status {fault.at}")
    return _document(script, body, script.plan.ttft, fault, status=fault.at)


# Batch replies


def _document(script: Script, body: bytes, at: float, fault: Fault, status: int = 200) -> Schedule:
    """A document without an answer in it."""
    step = Step(at, body, fault=True)
    return Schedule(
        script.plan,
        lambda: iter((step,)),
        _JSON,
        status,
        stream=False,
        length=len(body),
        end_at=at,
        fault=str(fault),
    )


def _answer(script: Script, texts: Callable[[], Iterable[str]], reason: FinishReason | None, tokens: int) -> Schedule:
    """A document with these texts as the answer, when the last token of a stream would have left."""
    at = script.offset_after(script.tokens)
    around = script.wire.batch(script.reply, PLACEHOLDER, reason, tokens)
    # A call's arguments may stand in it as they are, and no text at all.
    whole = sum(len(text.encode()) for text in texts())
    length = len(around) + around.count(PLACEHOLDER.encode()) * (whole - len(PLACEHOLDER))
    return Schedule(
        script.plan,
        lambda: (_piece(at, piece) for piece in script.filled(around, texts)),
        _JSON,
        stream=False,
        length=length,
        end_at=at,
    )


def _piece(at: float, payload: bytes) -> Step:
    numbers = tuple(stamp.number for stamp in read_tokens(payload.decode("utf-8", "ignore")))
    return Step(at, payload, numbers, find_stamps(payload))


def _cut(whole: Schedule, written: int) -> Schedule:
    """The document with its first so many bytes; the framing promises all of it."""

    def steps() -> Iterator[Step]:
        left = written
        for step in whole.make():
            if left < len(step.payload):
                yield _piece(step.offset, step.payload[:left])
                return
            yield step
            left -= len(step.payload)

    return replace(whole, make=steps)


def _whole_answer(script: Script) -> Schedule:
    return _answer(script, script.texts, script.reason, script.tokens)


def _batch_end(script: Script, fault: Fault) -> Schedule:
    if fault.edge == "start":
        return _stream_end(script, fault)
    made = _whole_answer(script)
    if not fault.edge and fault.at < script.tokens:
        made = _cut(made, (made.length or 0) * fault.at // script.tokens)
    return replace(made, end=_ENDS[fault.kind], fault=str(fault), fault_at_end=True)


def _batch_error(script: Script, fault: Fault) -> Schedule:
    body = script.wire.error_body(script.wire.error_kind(500), _words_of_error(fault))
    return _document(script, body, script.offset_after(script.tokens), fault)


def _batch_no_marker(script: Script, fault: Fault) -> Schedule:
    return _faulty(_answer(script, lambda: islice(script.texts(), fault.at), None, fault.at), fault)


def _batch_forge(script: Script, fault: Fault) -> Schedule:
    return _faulty(_answer(script, lambda: islice(script.texts(), fault.at), script.plan.finish, fault.at), fault)


def _batch_cut(script: Script, fault: Fault) -> Schedule:
    whole = _whole_answer(script)
    around = script.wire.batch(script.reply, PLACEHOLDER, script.reason, script.tokens)
    place = around.index(PLACEHOLDER.encode())
    texts = script.texts()
    place += sum(len(text.encode()) for text in islice(texts, fault.at))
    place += next(texts).encode().index(_bracket(script, fault)) + _BEHIND[fault.kind]
    return _faulty(replace(_cut(whole, place), length=place), fault)


def _batch_spoil(script: Script, fault: Fault) -> Schedule:
    def texts() -> Iterator[str]:
        return _spoiled(script.texts(), fault, lambda text: _estranged(script, text))

    return _faulty(_answer(script, texts, script.reason, script.tokens), fault)


def _faulty(made: Schedule, fault: Fault) -> Schedule:
    """The document, which shows the fault from its first byte."""
    return replace(made, make=lambda: _marked(made.make(), 0), fault=str(fault))


# What both share


def _nothing() -> Iterator[Step]:
    return iter(())


def _words_of_error(fault: Fault) -> str:
    return f"the plan asked for an error after token {fault.at}"


def _bracket(script: Script, fault: Fault) -> bytes:
    """How the next token's stamp begins."""
    return f"⟨{script.plan.tag}:{fault.at + 1}@".encode()


def _estranged(script: Script, text: str) -> str:
    """The text as a token of another reply: each bit of its tag turned over."""
    tag = script.plan.tag
    return text.replace(f"⟨{tag}:", f"⟨{int(tag, 16) ^ 0xFFFF:04x}:")


def _marked(steps: Iterator[Step], index: int) -> Iterator[Step]:
    """The steps, of which that one shows the fault."""
    yield from islice(steps, index)
    yield next(steps)._replace(fault=True)
    yield from steps


def _spoiled(items: Iterator[_Item], fault: Fault, estranged: Callable[[_Item], _Item]) -> Iterator[_Item]:
    """The tokens with the next one left out or made foreign, or the last one twice."""
    for item in islice(items, fault.at):
        last = item
        yield item
    match fault.kind:
        case FaultKind.DROP:
            next(items)
        case FaultKind.REPEAT:
            yield last
        case _:
            yield estranged(next(items))
    yield from items


_BEHIND = {FaultKind.CUT_JSON: 0, FaultKind.CUT_UTF8: 1}
"""Bytes of the next token's bracket that still leave: before it stands a JSON text, inside it a character."""

_ENDS = {FaultKind.FIN: End.FIN, FaultKind.RST: End.RST, FaultKind.FREEZE: End.FREEZE}

_STREAM: Mapping[FaultKind, _Maker] = {
    FaultKind.FIN: _stream_end,
    FaultKind.RST: _stream_end,
    FaultKind.FREEZE: _stream_end,
    FaultKind.ERROR: _stream_error,
    FaultKind.NO_MARKER: _stream_no_marker,
    FaultKind.FORGE: _stream_forge,
    FaultKind.CUT_JSON: _stream_cut,
    FaultKind.CUT_UTF8: _stream_cut,
    FaultKind.DROP: _stream_spoil,
    FaultKind.REPEAT: _stream_spoil,
    FaultKind.FOREIGN: _stream_spoil,
    FaultKind.STATUS: _status,
}

_BATCH: Mapping[FaultKind, _Maker] = {
    FaultKind.FIN: _batch_end,
    FaultKind.RST: _batch_end,
    FaultKind.FREEZE: _batch_end,
    FaultKind.ERROR: _batch_error,
    FaultKind.NO_MARKER: _batch_no_marker,
    FaultKind.FORGE: _batch_forge,
    FaultKind.CUT_JSON: _batch_cut,
    FaultKind.CUT_UTF8: _batch_cut,
    FaultKind.DROP: _batch_spoil,
    FaultKind.REPEAT: _batch_spoil,
    FaultKind.FOREIGN: _batch_spoil,
    FaultKind.STATUS: _status,
}
