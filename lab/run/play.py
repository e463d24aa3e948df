"""Plays one staging: makes its exchanges at once, has them judged, and writes the result.

Whatever goes wrong here is this staging's alone: a proxy that refused its configuration is *set-up
failed*, a fault of the lab's own is *harness failed*, and the other stagings never notice.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Sequence

import aiohttp

from lab.catalogue import Exchange, Staging
from lab.errors import LabError, SetUpFault
from lab.evidence import Evidence
from lab.files import read_words
from lab.printable import printable_text
from lab.probe.exchange import Patience
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.results import SideResult
from lab.run.records import exchange_result
from lab.run.verdicts import Played, conclude
from lab.stage.stage import Stage
from lab.wire import format_named
from lab.words import Outcome

SPARE = 30.0
"""Seconds of patience beyond the planned length: no reply that is due comes later, on any machine."""

LOG_LINES = 20


async def play(staging: Staging, stage: Stage, channel: SideChannel) -> SideResult:
    """Play one staging on a stage that holds its proxy; never raises for a fault of one staging."""
    started = time.monotonic()
    try:
        played = await _exchanges(staging, stage.url(staging.id), stage.model_url, channel)
    except SetUpFault as fault:
        return _without_verdict(staging, Outcome.SET_UP_FAILED, str(fault), _log(staging, stage), started)
    except (aiohttp.ClientError, OSError, LabError) as error:
        problem = f"the model server or the engine is out of reach: {error!r}"
        return _without_verdict(staging, Outcome.HARNESS_FAILED, problem, (), started)
    except Exception:  # a fault of ours in one staging must not lose the results of the others
        return _without_verdict(staging, Outcome.HARNESS_FAILED, traceback.format_exc(), (), started)
    try:
        return _with_verdict(staging, played, _log(staging, stage), started)
    except Exception:  # same; nothing here connects, so whatever it is, it is no fault of the environment's
        return _without_verdict(staging, Outcome.HARNESS_FAILED, traceback.format_exc(), (), started)


async def _exchanges(staging: Staging, url: str, model_url: str, channel: SideChannel) -> Sequence[Played]:
    evidence = await asyncio.gather(*(_observe(each, url, model_url, channel) for each in staging.exchanges))
    return Played.judged(staging.exchanges, evidence)


async def _observe(each: Exchange, url: str, model_url: str, channel: SideChannel) -> Evidence:
    patience = each.plan.length + SPARE
    return await observe(
        url,
        model_url,
        format_named(each.wire_format),
        each.plan,
        stream=each.stream,
        headers=(("Accept-Encoding", each.accept_encoding),) if each.accept_encoding else (),
        patience=Patience(headers=patience, first_token=patience, middle=patience),
        channel=channel,
    )


def _log(staging: Staging, stage: Stage) -> tuple[str, ...]:
    return tuple(stage.log(staging.id, LOG_LINES))


def _config_name(staging: Staging) -> str:
    return f"{staging.scenario}/{staging.config.parent.name}/{staging.config.name}"


def _with_verdict(staging: Staging, played: Sequence[Played], log: tuple[str, ...], started: float) -> SideResult:
    outcome, findings = conclude(staging, played)
    return SideResult(
        label=staging.label,
        side=staging.side,
        title=staging.title,
        outcome=outcome,
        findings=findings,
        exchanges=tuple(exchange_result(each) for each in played),
        seconds=time.monotonic() - started,
        config_name=_config_name(staging),
        config=_config(staging),
        log=log,
    )


def _without_verdict(
    staging: Staging, outcome: Outcome, problem: str, log: tuple[str, ...], started: float
) -> SideResult:
    return SideResult(
        label=staging.label,
        side=staging.side,
        title=staging.title,
        outcome=outcome,
        findings=(),
        exchanges=(),
        seconds=time.monotonic() - started,
        config_name=_config_name(staging),
        config=_config(staging),
        log=log,
        # It may name a file, in whatever bytes its name has; what is saved must be text.
        problem=printable_text(problem),
    )


def _config(staging: Staging) -> str:
    """The configuration's text; its author may be at work on it while it is being played."""
    try:
        return read_words(staging.config)
    except (OSError, UnicodeDecodeError) as error:
        return f"(the file cannot be read any more: {error})\n"
