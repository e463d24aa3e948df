"""Reads one scenario's folder: `scenario.toml`, the configurations and the story.

Every fault found here is the author's, and ends as `BadInput` that names the file and the key. The
loader joins overlays from the general to the special: an exchange's plan, the variant's plan, the variant's
own words for that exchange.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.catalogue.scenario import Case, Exchange, Scenario
from lab.catalogue.schema import Lengths, ProxyTable, ScenarioTable, SymptomTable, VariantTable
from lab.errors import BadInput
from lab.files import read_words, stay_inside
from lab.plan import Plan, PlanError, make_plan
from lab.printable import printable
from lab.products import PRODUCTS, Product, Proxy, resolve
from lab.vocabulary import Variant
from lab.wire import format_named

FILE = "scenario.toml"
MARGIN = 0.25
"""How much nearer than the timeout itself a drawn length may not come; see `Lengths`."""


def load_scenario(folder: Path) -> Scenario:
    """Read and check one scenario.

    Raises:
        BadInput: names the file, the key and the remedy.
    """
    if printable(folder.name) != folder.name:
        raise BadInput(f"{folder}: the name of a scenario has characters without a shape", "Rename the folder.")
    stay_inside(folder / FILE, folder)
    return _Loader(folder, _read(folder / FILE)).scenario()


def _read(path: Path) -> ScenarioTable:
    try:
        return ScenarioTable.model_validate(tomllib.loads(read_words(path)))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", f"A scenario is a folder with a {FILE}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: no TOML: {error}", "Mend the file at that place.") from None
    except ValidationError as error:
        # A misspelt key is also a missing one; the misspelling is what its author looks for.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        remedy = "CONTRIBUTING.md lists the keys of a scenario."
        match first["type"]:
            case "extra_forbidden":
                raise BadInput(f"{path}: unknown key {key}", remedy) from None
            case "missing":
                raise BadInput(f"{path}: the key {key} is missing", remedy) from None
        why = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}: {key}: {why}", f"It is {first['input']!r}. {remedy}") from None


@dataclass(frozen=True)
class _Loader:
    """Unfolds one table; lives for one call of `load_scenario`."""

    folder: Path
    table: ScenarioTable

    def scenario(self) -> Scenario:
        table = self.table
        self._check_names()
        return Scenario(
            id=self.folder.name,
            folder=self.folder,
            order=table.order,
            title=table.title,
            group=table.group,
            requirement=table.requirement,
            readme=self._story(),
            sources=tuple(table.sources),
            cases=tuple(self._cases()),
        )

    def _fail(self, key: str, why: str, remedy: str = "") -> BadInput:
        return BadInput(f"{self.folder / FILE}: {key}: {why}", remedy)

    def _check_names(self) -> None:
        table = self.table
        if not table.proxies:
            raise self._fail("proxies", "no proxy can fail here", "Name at least one product, such as [proxies.nginx].")
        for name, exchange in table.exchanges.items():
            try:
                format_named(exchange.wire_format)
            except BadInput as error:
                raise self._fail(f"exchanges.{name}.wire_format", error.problem, error.remedy) from None
        for key, symptoms in self._symptoms():
            for name in symptoms:
                self._known_exchange(f"{key}.{name}", name)
        for key, variant in self._variants():
            for name in (*variant.exchanges, *variant.lengths):
                self._known_exchange(f"{key}.exchanges.{name}", name)
            for name in variant.proxies:
                if name not in table.proxies:
                    raise self._fail(
                        f"{key}.proxies", f"no proxy {name!r}", f"The file has: {', '.join(table.proxies)}."
                    )
        if table.real_defaults:
            for name in (*table.real_defaults.exchanges, *table.real_defaults.lengths):
                self._known_exchange(f"real_defaults.exchanges.{name}", name)

    def _story(self) -> str:
        path = self.folder / "README.md"
        stay_inside(path, self.folder)
        try:
            return read_words(path)
        except FileNotFoundError:
            raise BadInput(f"{self.folder}: README.md is missing", "Tell the scenario's story there.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{path} cannot be read: {error}", "Write it in UTF-8.") from None

    def _known_exchange(self, key: str, name: str) -> None:
        if name not in self.table.exchanges:
            raise self._fail(key, "no such exchange", f"The file has: {', '.join(self.table.exchanges)}.")

    def _symptoms(self) -> Iterator[tuple[str, Mapping[str, SymptomTable]]]:
        yield "symptom", self.table.symptom
        for name, proxy in self.table.proxies.items():
            yield f"proxies.{name}.symptom", proxy.symptom
        if self.table.real_defaults:
            for name, symptoms in self.table.real_defaults.symptom.items():
                yield f"real_defaults.symptom.{name}", symptoms

    def _variants(self) -> Iterator[tuple[str, VariantTable]]:
        yield "broken", self.table.broken
        yield "fixed", self.table.fixed
        for way, variant in self.table.fixes.items():
            yield f"fixes.{way}", variant

    def _cases(self) -> Iterator[Case]:
        for name, proxy_table in self.table.proxies.items():
            symptom = {**self.table.symptom, **proxy_table.symptom}
            for proxy in self._proxies(f"proxies.{name}", name, proxy_table.releases):
                yield self._case(proxy, Variant.BROKEN, "broken", self.table.broken, symptom)
                yield self._case(proxy, Variant.FIXED, "fixed", self.table.fixed, {})
                for way, variant in self.table.fixes.items():
                    if not variant.proxies or name in variant.proxies:
                        yield self._case(proxy, Variant.FIXED, f"fixed-{way}", variant, {})
        for name, immune in self.table.not_affected.items():
            for proxy in self._proxies(f"immune.{name}", name, immune.releases):
                yield self._case(
                    proxy, Variant.NOT_AFFECTED, "immune", VariantTable(title=immune.why, shows=immune.shows), {}
                )
        yield from self._real_defaults()

    def _real_defaults(self) -> Iterator[Case]:
        real = self.table.real_defaults
        if real is None:
            return
        for name, symptom in real.symptom.items():
            variant = VariantTable(exchanges=real.exchanges, lengths=real.lengths, title="the product's own timeouts")
            failing = self.table.proxies.get(name, ProxyTable())
            for proxy in self._proxies(f"real_defaults.symptom.{name}", name, failing.releases):
                yield self._case(proxy, Variant.REAL_DEFAULTS, "real-defaults", variant, symptom)

    def _proxies(self, key: str, name: str, releases: list[str]) -> tuple[Proxy, ...]:
        if name not in PRODUCTS:
            raise self._fail(key, f"unknown proxy {name!r}", f"Known: {', '.join(sorted(PRODUCTS))}.")
        product = PRODUCTS[name]
        wanted = releases or [product.releases[0]]
        if len(set(wanted)) < len(wanted):
            raise self._fail(f"{key}.releases", "the same release twice", "Name each once.")
        try:
            return tuple(proxy for release in wanted for proxy in resolve(f"{name}-{release}"))
        except BadInput as error:
            raise self._fail(f"{key}.releases", error.problem, error.remedy) from None

    def _case(
        self, proxy: Proxy, variant: Variant, label: str, table: VariantTable, symptom: Mapping[str, SymptomTable]
    ) -> Case:
        if variant is Variant.BROKEN and not symptom and not table.consumers:
            raise self._fail(
                "symptom", "the broken variant shows nothing", "Say what it shows, such as [symptom.stream]."
            )
        return Case(
            scenario=self.folder.name,
            proxy=proxy,
            variant=variant,
            label=label,
            title=table.title,
            config=self._config(proxy.product, variant, label, table),
            exchanges=tuple(self._exchanges(label, table)),
            symptom=dict(symptom),
            consumers=tuple(table.consumers),
            shows=tuple(table.shows),
        )

    def _config(self, product: Product, variant: Variant, label: str, table: VariantTable) -> Path:
        """The variant's own file; the broken one again where the remedy lies outside the proxy."""
        own = self.folder / product.name / f"{label}{product.suffix}"
        broken = own.with_name(f"broken{product.suffix}")
        elsewhere = variant is Variant.NOT_AFFECTED or bool(
            table.plan or table.exchanges or table.consumers or table.stream
        )
        for path in (own, broken) if elsewhere else (own,):
            if path.exists():
                self._check_files(path)
                return path
        raise BadInput(
            f"{own}: the file is missing",
            f"Each proxy of a scenario needs broken{product.suffix} and fixed{product.suffix}.",
        )

    def _check_files(self, config: Path) -> None:
        """A configuration, and what is copied along with it: the other files of its folder."""
        try:
            companions = [file for file in config.parent.iterdir() if file.is_file()]
            read_words(config)
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{config} cannot be read: {error}", "Write the proxy's configuration in UTF-8.") from None
        for file in companions:
            stay_inside(file, self.folder)

    def _exchanges(self, label: str, table: VariantTable) -> Iterator[Exchange]:
        for name, exchange in self.table.exchanges.items():
            fields = {**exchange.plan, **table.plan, **table.exchanges.get(name, {})}
            key = f"exchanges.{name}.plan" if label == "broken" else f"{label}, exchanges.{name}.plan"
            requirement = exchange.requirement or self.table.requirement
            lengths = table.lengths.get(name, exchange.lengths)
            for exchange_name, plan in self._plans(key, name, lengths, fields):
                yield Exchange(
                    exchange_name,
                    name,
                    plan,
                    exchange.stream if table.stream is None else table.stream,
                    exchange.wire_format,
                    exchange.accept_encoding,
                    requirement,
                )

    def _plans(
        self, key: str, name: str, lengths: Lengths | None, fields: dict[str, Any]
    ) -> Iterator[tuple[str, Plan]]:
        plan = self._plan(key, fields)
        if lengths is None:
            yield name, plan
            return
        for place, tokens in enumerate(self._draw(key, lengths, plan), start=1):
            yield f"{name}-{place:02}", self._plan(key, {**fields, "tokens": tokens, "seed": place})

    def _plan(self, key: str, fields: dict[str, Any]) -> Plan:
        try:
            return make_plan(fields)
        except PlanError as error:
            remedy = f"The fields of a plan are {', '.join(Plan.model_fields)}."
            raise self._fail(f"{key}.{error.field}" if error.field else key, error.why, remedy) from None

    def _draw(self, key: str, lengths: Lengths, plan: Plan) -> list[int]:
        """Token counts of random generations, some shorter and some longer than the timeout."""
        if (
            not plan.interval
            or not lengths.least < lengths.clear_of * (1 - MARGIN) < lengths.clear_of * (1 + MARGIN) < lengths.most
        ):
            raise self._fail(key.replace(".plan", ".lengths"), "least, clear_of and most leave no room on both sides")
        draw = random.Random(lengths.seed)
        drawn: list[float] = []
        while len(drawn) < lengths.count or not _both_sides(drawn, lengths.clear_of):
            length = draw.uniform(lengths.least, lengths.most)
            if abs(length - lengths.clear_of) > lengths.clear_of * MARGIN:
                drawn = [*drawn, length][-lengths.count :]
        return [1 + round((length - plan.ttft) / plan.interval) for length in drawn]


def _both_sides(lengths: list[float], timeout: float) -> bool:
    return any(length < timeout for length in lengths) and any(length > timeout for length in lengths)
