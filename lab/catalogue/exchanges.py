"""The exchanges of a variant: those that `scenario.toml` names, or those of the suite, each with its overlays joined.

From the general to the special: the exchange's own plan, the variant's plan, the variant's words for that exchange.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.catalogue.schema import ExchangeTable, Lengths, ScenarioTable, VariantTable
from lab.errors import BadInput
from lab.plan import Plan, PlanError, make_plan
from lab.suite.exchange import Exchange
from lab.suite.settle import suite
from lab.wire import format_named

MARGIN = 0.25
"""How much nearer than the timeout itself a drawn length may not come; see `Lengths`."""


@dataclass(frozen=True)
class Exchanges:
    """The exchanges of one scenario; `file` is where they stand, for messages."""

    file: Path
    table: ScenarioTable

    def fail(self, key: str, why: str, remedy: str = "") -> BadInput:
        """What is wrong with a key of the file."""
        return BadInput(f"{self.file}: {key}: {why}", remedy)

    @cached_property
    def _base(self) -> Mapping[str, Exchange]:
        """By name, without any variant's overlay; their plans are those of the suite, or empty."""
        base = {each.name: each for each in suite()} if self.table.suite else {}
        return {**base, **{name: self._written(name, table) for name, table in self.table.exchanges.items()}}

    def _written(self, name: str, table: ExchangeTable) -> Exchange:
        return Exchange(
            name,
            make_plan({}),
            wire_format=table.wire_format,
            requirements=(table.requirement or self.table.requirement,),
            stream=table.stream,
            method=table.method,
            path=table.path,
            headers=tuple(table.headers.items()),
            accept_encoding=table.accept_encoding,
            body_bytes=table.body_bytes,
            leave_after=table.leave_after,
            pause=table.pause,
            connections=table.connections,
            kept=table.kept,
            delay=table.delay,
            http=table.http,
        )

    def check(self) -> None:
        """Make sure that every exchange can be asked.

        Raises:
            BadInput: names the key.
        """
        if not self._base:
            raise self.fail("exchanges", "there is none", "Write [exchanges.NAME], or suite = true.")
        for name, table in self.table.exchanges.items():
            try:
                wire = format_named(table.wire_format)
            except BadInput as error:
                raise self.fail(f"exchanges.{name}.wire_format", error.problem, error.remedy) from None
            if table.lengths is not None and table.times > 1:
                raise self.fail(f"exchanges.{name}.times", "the batch of lengths has a count of its own")
            if table.in_turn and table.every:
                raise self.fail(f"exchanges.{name}.every", "with in_turn each begins when the one before is over")
            if table.method == "GET" and wire.name != "sse":
                raise self.fail(f"exchanges.{name}.method", "only the format sse can be asked with GET")

    def check_known(self, key: str, name: str) -> None:
        """Make sure that there is such an exchange.

        Raises:
            BadInput: there is none.
        """
        if name not in self._base:
            raise self.fail(key, "no such exchange", f"The file has: {', '.join(self._base)}.")

    def of(self, label: str, variant: VariantTable) -> Iterator[Exchange]:
        """The exchanges of a variant, given its label and its table."""
        for name, exchange in self._base.items():
            written = self.table.exchanges.get(name)
            own = written.plan if written else exchange.plan.model_dump(include=exchange.plan.model_fields_set)
            fields = {**own, **variant.plan, **variant.exchanges.get(name, {})}
            key = f"exchanges.{name}.plan" if label == "broken" else f"{label}, exchanges.{name}.plan"
            lengths = variant.lengths.get(name, written.lengths if written else None)
            stream = exchange.stream if variant.stream is None else variant.stream
            every, in_turn = (written.every, written.in_turn) if written else (0.0, False)
            every = variant.every.get(name, every)
            plans = self._plans(key, name, lengths, written.times if written else 1, fields)
            before = ""
            for place, (its_name, its_plan) in enumerate(plans):
                delay = exchange.delay + place * every
                its = replace(exchange, name=its_name, family=name, plan=its_plan, stream=stream, delay=delay)
                yield replace(its, after=before if in_turn else "")
                before = its_name

    def _plans(
        self, key: str, name: str, lengths: Lengths | None, times: int, fields: dict[str, Any]
    ) -> Iterator[tuple[str, Plan]]:
        plan = self._plan(key, fields)
        if lengths is None:
            for place in range(1, times + 1):
                yield (name if times == 1 else f"{name}-{place:02}"), plan
            return
        for place, tokens in enumerate(self._draw(key, lengths, plan), start=1):
            yield f"{name}-{place:02}", self._plan(key, {**fields, "tokens": tokens, "seed": place})

    def _plan(self, key: str, fields: dict[str, Any]) -> Plan:
        try:
            return make_plan(fields)
        except PlanError as error:
            remedy = f"The fields of a plan are {', '.join(Plan.model_fields)}."
            raise self.fail(f"{key}.{error.field}" if error.field else key, error.why, remedy) from None

    def _draw(self, key: str, lengths: Lengths, plan: Plan) -> list[int]:
        """Token counts of random generations, some shorter and some longer than the timeout."""
        if (
            not plan.interval
            or not lengths.least < lengths.clear_of * (1 - MARGIN) < lengths.clear_of * (1 + MARGIN) < lengths.most
        ):
            raise self.fail(key.replace(".plan", ".lengths"), "least, clear_of and most leave no room on both sides")
        draw = random.Random(lengths.seed)
        drawn: list[float] = []
        while len(drawn) < lengths.count or not _both_sides(drawn, lengths.clear_of):
            length = draw.uniform(lengths.least, lengths.most)
            if abs(length - lengths.clear_of) > lengths.clear_of * MARGIN:
                drawn = [*drawn, length][-lengths.count :]
        return [1 + round((length - plan.ttft) / plan.interval) for length in drawn]


def _both_sides(lengths: list[float], timeout: float) -> bool:
    return any(length < timeout for length in lengths) and any(length > timeout for length in lengths)
