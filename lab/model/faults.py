"""The faults: how each one changes what a whole reply would have been.

One table for streams and one for batch replies; each entry takes the script and the fault and returns
the schedule. Pure: a fault is nothing but other steps and another end, and `reply` writes those as it
writes any. A fault strikes right after its token has left (`fin@0`: when the first would have); the
three that spoil the next token (`cut-json`, `cut-utf8`, and `foreign`) strike when that one is due.

`@start` comes before any byte of the reply, so it overrides early headers and heartbeats; so does
`status`. A fault that stands behind the request's own token limit never strikes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from lab.model.steps import End, Schedule, Script, Step, find_stamps
from lab.plan import NEED_NEXT, Fault, FaultKind
from lab.wire.tokens import read_tokens

CONNECTION_FAULTS = frozenset(
    {FaultKind.FIN, FaultKind.RST, FaultKind.FREEZE, FaultKind.NO_MARKER, FaultKind.CUT_JSON, FaultKind.CUT_UTF8}
)
"""Faults of how a reply is handed over, which leave what the model generates whole."""

_JSON = "application/json"
_BRACKET = "⟨".encode()

_Maker = Callable[[Script, Fault], Schedule]
_Item = TypeVar("_Item")


def stream_schedule(script: Script) -> Schedule:
    """The schedule of a streamed reply, without heartbeats."""
    fault = _striking(script)
    if fault is None:
        return _stream(script, _whole(script))
    return _STREAM[fault.kind](script, fault)


def generated_schedule(script: Script) -> Schedule:
    """The stream as the model generates it, whatever becomes of the connection; without heartbeats."""
    fault = _striking(script)
    if fault is None or fault.kind in CONNECTION_FAULTS:
        return _stream(script, _whole(script))
    return _STREAM[fault.kind](script, fault)


def batch_schedule(script: Script) -> Schedule:
    """The schedule of a batch reply: one document, when the last token of a stream would have left."""
    fault = _striking(script)
    if fault is None:
        return _batch(script, _document(script, script.texts))
    return _BATCH[fault.kind](script, fault)


def _striking(script: Script) -> Fault | None:
    fault = script.plan.fault
    if fault is None or fault.edge or fault.kind is FaultKind.STATUS:
        return fault
    reached = fault.at < script.tokens if fault.kind in NEED_NEXT else fault.at <= script.tokens
    return fault if reached else None


# Streams


def _stream(
    script: Script, steps: list[Step], fault: Fault | None = None, fault_step: int = -1, end: End = End.CLEAN
) -> Schedule:
    end_at = steps[-1].offset if steps else script.plan.ttft
    if end is not End.CLEAN:
        end_at += script.plan.fault_delay
    return Schedule(
        tuple(steps),
        script.wire.stream_type,
        end=end,
        end_at=end_at,
        fault=str(fault or ""),
        fault_step=fault_step,
    )


def _whole(script: Script) -> list[Step]:
    return script.opened([*script.token_steps(), script.finish_step(script.tokens, script.reason)])


def _prefix(script: Script, tokens: int) -> list[Step]:
    return script.opened(script.token_steps()[:tokens]) if tokens else []


def _stream_end(script: Script, fault: Fault) -> Schedule:
    end = _ENDS[fault.kind]
    if fault.edge == "start":
        return Schedule((), "", silent=True, end=end, end_at=script.plan.ttft, fault=str(fault), fault_step=0)
    steps = _whole(script) if fault.edge == "end" else _prefix(script, fault.at)
    return _stream(script, steps, fault, len(steps), end)


def _stream_error(script: Script, fault: Fault) -> Schedule:
    event = script.wire.error_event(script.wire.error_kind(500), _words_of_error(fault))
    steps = [*_prefix(script, fault.at), Step(script.offset_after(fault.at), event)]
    return _stream(script, steps, fault, fault.at)


def _stream_no_marker(script: Script, fault: Fault) -> Schedule:
    steps = _prefix(script, fault.at)
    return _stream(script, steps, fault, len(steps))


def _stream_forge(script: Script, fault: Fault) -> Schedule:
    steps = [*script.token_steps()[: fault.at], script.finish_step(fault.at, script.plan.finish)]
    return _stream(script, script.opened(steps), fault, fault.at)


def _stream_cut(script: Script, fault: Fault) -> Schedule:
    steps = script.token_steps()[: fault.at + 1]
    last = steps.pop()
    steps.append(Step(last.offset, last.payload[: _place_of_cut(script, last.payload, fault)]))
    return _stream(script, script.opened(steps), fault, fault.at)


def _stream_spoil(script: Script, fault: Fault) -> Schedule:
    def estranged(step: Step) -> Step:
        return step._replace(payload=_estranged(script, step.payload.decode()).encode())

    steps = _spoiled(script.token_steps(), fault, estranged)
    steps.append(script.finish_step(script.tokens, script.reason))
    return _stream(script, script.opened(steps), fault, fault.at)


def _status(script: Script, fault: Fault) -> Schedule:
    kind = script.wire.error_kind(fault.at)
    body = script.wire.error_body(kind, f"the plan asked for HTTP status {fault.at}")
    at = script.plan.ttft
    return Schedule((Step(at, body),), _JSON, fault.at, False, False, len(body), End.CLEAN, at, str(fault), 0)


# Batch replies


def _batch(
    script: Script,
    body: bytes,
    fault: Fault | None = None,
    *,
    written: int | None = None,
    end: End = End.CLEAN,
) -> Schedule:
    """One step with the body, or with its first `written` bytes; the framing promises all of it."""
    at = script.offset_after(script.tokens)
    payload = body[:written]
    numbers = tuple(stamp.number for stamp in read_tokens(payload.decode("utf-8", "ignore")))
    step = Step(at, payload, numbers, find_stamps(payload))
    shows = -1 if fault is None else int(end is not End.CLEAN)
    return Schedule((step,), _JSON, 200, False, False, len(body), end, at, str(fault or ""), shows)


def _document(script: Script, texts: Sequence[str]) -> bytes:
    return script.wire.batch(script.reply, "".join(texts), script.reason, script.tokens)


def _batch_end(script: Script, fault: Fault) -> Schedule:
    if fault.edge == "start":
        return _stream_end(script, fault)
    body = _document(script, script.texts)
    written = len(body) if fault.edge or fault.at == script.tokens else len(body) * fault.at // script.tokens
    return _batch(script, body, fault, written=written, end=_ENDS[fault.kind])


def _batch_error(script: Script, fault: Fault) -> Schedule:
    body = script.wire.error_body(script.wire.error_kind(500), _words_of_error(fault))
    return _batch(script, body, fault)


def _batch_no_marker(script: Script, fault: Fault) -> Schedule:
    text = "".join(script.texts[: fault.at])
    return _batch(script, script.wire.batch(script.reply, text, None, fault.at), fault)


def _batch_forge(script: Script, fault: Fault) -> Schedule:
    text = "".join(script.texts[: fault.at])
    return _batch(script, script.wire.batch(script.reply, text, script.plan.finish, fault.at), fault)


def _batch_cut(script: Script, fault: Fault) -> Schedule:
    body = _document(script, script.texts)
    return _batch(script, body[: _place_of_cut(script, body, fault)], fault)


def _batch_spoil(script: Script, fault: Fault) -> Schedule:
    texts = _spoiled(script.texts, fault, lambda text: _estranged(script, text))
    return _batch(script, _document(script, texts), fault)


# What both share


def _words_of_error(fault: Fault) -> str:
    return f"the plan asked for an error after token {fault.at}"


def _place_of_cut(script: Script, payload: bytes, fault: Fault) -> int:
    """Before the bracket of the next token, which is inside a JSON text, or inside the bracket itself."""
    bracket = payload.index(b"%b%b:%d@" % (_BRACKET, script.plan.tag.encode(), fault.at + 1))
    return bracket + 1 if fault.kind is FaultKind.CUT_UTF8 else bracket


def _estranged(script: Script, text: str) -> str:
    """The text as a token of another reply: each bit of its tag turned over."""
    tag = script.plan.tag
    return text.replace(f"⟨{tag}:", f"⟨{int(tag, 16) ^ 0xFFFF:04x}:")


def _spoiled(items: Sequence[_Item], fault: Fault, estranged: Callable[[_Item], _Item]) -> list[_Item]:
    """The tokens with the next one left out or made foreign, or the last one twice."""
    before, after = list(items[: fault.at]), list(items[fault.at :])
    match fault.kind:
        case FaultKind.DROP:
            return before + after[1:]
        case FaultKind.REPEAT:
            return [*before, before[-1], *after]
        case _:
            return [*before, estranged(after[0]), *after[1:]]


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
