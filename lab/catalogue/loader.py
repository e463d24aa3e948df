"""Reads one scenario's folder: `scenario.toml`, each product's folder, and the story.

Every fault found here is the author's, and ends as `BadInput` that names the file and the key. The
loader joins overlays from the general to the special: an exchange's plan, the variant's plan, the variant's
own words for that exchange.

A product takes part by having a folder. The configurations in it say how: `broken` and `fixed`, `fixed-<way>`,
`not-affected`, `real-defaults`; `expected.toml` says which versions fail and what they show where it differs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lab.catalogue.exchanges import Exchanges
from lab.catalogue.scenario import Case, Restart, Scenario
from lab.catalogue.schema import (
    BrokenTable,
    ExpectedTable,
    ScenarioTable,
    Some,
    SymptomTable,
    VariantTable,
)
from lab.errors import BadInput
from lab.files import read_words, stay_inside
from lab.printable import printable
from lab.products import CERTIFICATE, PRODUCTS, Product, Proxy, order_of, speaks_tls
from lab.suite.exchange import Exchange
from lab.vocabulary import Requirement, State, Variant

FILE = "scenario.toml"
EXPECTED = "expected.toml"
_MOVED = {
    "proxies": f"What a product shows stands in its folder: <product>/{EXPECTED}, as [broken] with since and before.",
    "immune": f"What is not affected stands in the product's folder: <product>/{EXPECTED}, as [not_affected].",
}
"""Keys that scenarios had, and where that stands now."""

Table = TypeVar("Table", bound=BaseModel)


def load_scenario(folder: Path, products: Mapping[str, Product] = PRODUCTS) -> Scenario:
    """Read and check one scenario.

    Args:
        folder: its folder.
        products: those that there are, by name, with the versions that cases are made for.

    Raises:
        BadInput: names the file, the key and the remedy.
    """
    if printable(folder.name) != folder.name:
        raise BadInput(f"{folder}: the name of a scenario has characters without a shape", "Rename the folder.")
    stay_inside(folder / FILE, folder)
    return _Loader(folder, read_table(folder / FILE, ScenarioTable), products).scenario()


def read_table(path: Path, kind: type[Table], keys: str = "CONTRIBUTING.md lists the keys of a scenario.") -> Table:
    """Read a file of TOML by its closed schema.

    Args:
        path: the file.
        kind: the schema.
        keys: where its keys are listed, in a sentence.

    Raises:
        BadInput: names the file, the key and the remedy.
    """
    try:
        return kind.model_validate(tomllib.loads(read_words(path)))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", keys) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: no TOML: {error}", "Mend the file at that place.") from None
    except ValidationError as error:
        # A misspelt key is also a missing one; the misspelling is what its author looks for.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        remedy = _MOVED.get(key.partition(".")[0], keys)
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
    products: Mapping[str, Product]

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

    @cached_property
    def _exchanges(self) -> Exchanges:
        return Exchanges(self.folder / FILE, self.table)

    def _check_names(self) -> None:
        table = self.table
        self._exchanges.check()
        for name in table.symptom:
            self._exchanges.check_known(f"symptom.{name}", name)
        for key, variant in self._variants():
            for name in (*variant.exchanges, *variant.lengths, *variant.every):
                self._exchanges.check_known(f"{key}.exchanges.{name}", name)
        if table.real_defaults:
            for name in (*table.real_defaults.exchanges, *table.real_defaults.lengths):
                self._exchanges.check_known(f"real_defaults.exchanges.{name}", name)
        for way in table.fixes:
            if not any(self._takes(product, way) for product in self._products):
                remedy = f"A product takes it with a file such as {next(iter(PRODUCTS))}/fixed-{way}.*."
                raise self._exchanges.fail(f"fixes.{way}", "no product takes this fix", remedy)

    def _story(self) -> str:
        path = self.folder / "README.md"
        stay_inside(path, self.folder)
        try:
            return read_words(path)
        except FileNotFoundError:
            raise BadInput(f"{self.folder}: README.md is missing", "Tell the scenario's story there.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{path} cannot be read: {error}", "Write it in UTF-8.") from None

    def _variants(self) -> Iterator[tuple[str, VariantTable]]:
        yield "broken", self.table.broken
        yield "fixed", self.table.fixed
        for way, variant in self.table.fixes.items():
            yield f"fixes.{way}", variant

    @cached_property
    def _products(self) -> tuple[Product, ...]:
        """Those that have a folder."""
        folders = sorted(
            each.name for each in self.folder.iterdir() if each.name in self.products or _like_a_products(each)
        )
        for name in folders:
            if name not in self.products:
                raise BadInput(
                    f"{self.folder / name}: unknown product {name!r}", f"Known: {', '.join(sorted(self.products))}."
                )
        if not folders:
            raise BadInput(f"{self.folder}: no product takes part", "Make a folder for at least one, such as nginx.")
        return tuple(self.products[name] for name in folders)

    def _cases(self) -> Iterator[Case]:
        for product in self._products:
            cases = list(self._cases_of(product))
            self._check_all_used(product, cases)
            yield from cases

    def _cases_of(self, product: Product) -> Iterator[Case]:
        expected = self._expected(product)
        if expected.broken is not None:
            symptom = {**self.table.symptom, **expected.broken.symptom}
            meets = dict.fromkeys(expected.broken.meets, State.MET)
            unmet = dict.fromkeys(expected.broken.unmet, State.NOT_MET)
            for proxy in self._proxies(product, "broken", expected.broken):
                yield self._case(proxy, Variant.BROKEN, "broken", self.table.broken, symptom, meets)
                yield self._case(proxy, Variant.FIXED, "fixed", self.table.fixed, {}, unmet)
                for way, variant in self.table.fixes.items():
                    if self._takes(product, way) and way not in expected.broken.without:
                        yield self._case(proxy, Variant.FIXED, f"fixed-{way}", variant, {}, unmet)
        if expected.not_affected is not None:
            table = VariantTable(title=expected.not_affected.why, shows=expected.not_affected.shows)
            for proxy in self._proxies(product, "not_affected", expected.not_affected):
                yield self._case(proxy, Variant.NOT_AFFECTED, Variant.NOT_AFFECTED, table, {})
        if expected.measured is not None:
            table = VariantTable(title=expected.measured.title)
            for proxy in self._proxies(product, "measured", expected.measured):
                yield self._case(proxy, Variant.MEASURED, Variant.MEASURED, table, {}, expected.measured.expects)
        if expected.real_defaults is not None and self.table.real_defaults is not None:
            real = self.table.real_defaults
            title = "the product's own timeouts"
            table = VariantTable(exchanges=real.exchanges, lengths=real.lengths, title=title)
            symptom = expected.real_defaults.symptom
            for proxy in self._proxies(product, "real_defaults", expected.broken or BrokenTable()):
                yield self._case(proxy, Variant.REAL_DEFAULTS, Variant.REAL_DEFAULTS, table, symptom)

    def _expected(self, product: Product) -> ExpectedTable:
        """What is expected of a product; its exchanges and its versions are those that there are."""
        path = self.folder / product.name / EXPECTED
        if not path.exists():
            return ExpectedTable(broken=BrokenTable())
        stay_inside(path, self.folder)
        expected = read_table(path, ExpectedTable)
        if expected.broken is None and expected.not_affected is None and expected.measured is None:
            expected = expected.model_copy(update={"broken": BrokenTable()})
        if expected.real_defaults is not None and self.table.real_defaults is None:
            raise BadInput(f"{path}: real_defaults: the scenario has none", f"Add [real_defaults] to {FILE}.")
        for key, table in (("broken", expected.broken), ("real_defaults", expected.real_defaults)):
            for name in table.symptom if table is not None else ():
                replace(self._exchanges, file=path).check_known(f"{key}.symptom.{name}", name)
        for way in expected.broken.without if expected.broken is not None else ():
            if way not in self.table.fixes:
                raise BadInput(
                    f"{path}: broken.without.{way}: no such fix", f"{FILE} has: {', '.join(self.table.fixes)}."
                )
        if expected.broken is not None and expected.not_affected is not None:
            self._check_apart(product, path, expected.broken, expected.not_affected)
        return expected

    def _check_apart(self, product: Product, path: Path, broken: Some, not_affected: Some) -> None:
        both = [
            each.number for each in product.versions if _among(each.order, broken) and _among(each.order, not_affected)
        ]
        if both:
            remedy = "Divide them with since and before."
            raise BadInput(f"{path}: {', '.join(both)} is both broken and not affected", remedy)

    def _takes(self, product: Product, way: str) -> bool:
        """Whether a fix is for that product: there is a file of its, or the remedy lies outside the product."""
        own, table = self.folder / product.name / f"fixed-{way}{product.suffix}", self.table.fixes[way]
        return own.exists() or table.config is not None or self._elsewhere(table)

    @staticmethod
    def _elsewhere(table: VariantTable) -> bool:
        """Whether the remedy lies outside the product."""
        return bool(table.plan or table.exchanges or table.consumers or table.stream or table.drain or table.every)

    def _proxies(self, product: Product, key: str, some: Some) -> tuple[Proxy, ...]:
        found = tuple(Proxy(product, version) for version in product.versions if _among(version.order, some))
        if not found:
            path = self.folder / product.name / EXPECTED
            numbers = ", ".join(version.number for version in product.versions)
            raise BadInput(f"{path}: {key}: no version of {product.name} is among these", f"The lab has {numbers}.")
        return found

    def _check_all_used(self, product: Product, cases: list[Case]) -> None:
        """A configuration that no case has would never be run, and nobody would know."""
        used = {case.config for case in cases}
        for label in ("broken", "fixed", "fixed-*", Variant.NOT_AFFECTED, Variant.REAL_DEFAULTS, Variant.MEASURED):
            for file in (self.folder / product.name).glob(f"{label}{product.suffix}"):
                if file not in used:
                    raise BadInput(f"{file}: no variant of the scenario uses it", f"See {FILE} and {EXPECTED}.")

    def _case(
        self,
        proxy: Proxy,
        variant: Variant,
        label: str,
        table: VariantTable,
        symptom: Mapping[str, SymptomTable],
        expects: Mapping[Requirement, State] | None = None,
    ) -> Case:
        if variant is Variant.BROKEN and not symptom and not table.consumers:
            raise BadInput(
                f"{self.folder}: nothing says what the broken variant of {proxy.product.name} shows",
                f"Write [symptom.stream] (or another exchange's) into {FILE}, or for this product alone "
                f"[broken.symptom.stream] into {proxy.product.name}/{EXPECTED}.",
            )
        config = self._config(proxy.product, variant, label, table)
        exchanges = self._exchanges_of(variant, label, table, {*symptom}, {*(expects or {})})
        return Case(
            scenario=self.folder.name,
            proxy=proxy,
            variant=variant,
            label=label,
            title=table.title,
            config=config,
            exchanges=tuple(self._askable(exchanges, config, {*symptom, *table.exchanges, *table.lengths})),
            symptom=dict(symptom),
            consumers=tuple(table.consumers),
            shows=tuple(table.shows),
            expects=dict(expects or {}),
            reload=self.table.reload,
            restart=self._restart(table),
        )

    def _restart(self, table: VariantTable) -> Restart | None:
        restart = self.table.restart
        return None if restart is None else Restart(restart.at, restart.down, table.drain)

    def _exchanges_of(
        self, variant: Variant, label: str, table: VariantTable, symptoms: set[str], expected: set[Requirement]
    ) -> Iterator[Exchange]:
        """Of the suite, a broken variant makes only those exchanges of which something is expected."""
        for each in self._exchanges.of(label, table):
            own = each.family in self.table.exchanges or variant is not Variant.BROKEN
            if own or each.family in symptoms or expected & {*each.requirements}:
                yield each

    def _askable(self, exchanges: Iterable[Exchange], config: Path, named: set[str]) -> Iterator[Exchange]:
        """What can be asked of a configuration: without a certificate, nothing of the suite that needs TLS.

        What the scenario itself names is not left out, since a case would seem to show it.
        """
        secure = speaks_tls(config)
        for each in exchanges:
            if each.kept is not None and secure:
                why = f"only a plain connection is kept, and {config} has {CERTIFICATE}"
                raise self._exchanges.fail(f"exchanges.{each.family}.kept", why, "Give the variant a file without it.")
            if each.is_for(secure=secure):
                yield each
            elif each.family in named or each.family in self.table.exchanges:
                why = f"HTTP/2 needs TLS, and {config} has no {CERTIFICATE}"
                remedy = "Give the variant a file of its own that has it, or ask with HTTP/1.1."
                raise self._exchanges.fail(f"exchanges.{each.family}", why, remedy)

    def _config(self, product: Product, variant: Variant, label: str, table: VariantTable) -> Path:
        """The variant's own file; the broken one again where the remedy lies outside the product."""
        if table.config is not None:
            return product.default if table.config == "default" else product.recommended
        own = self.folder / product.name / f"{label}{product.suffix}"
        broken = own.with_name(f"broken{product.suffix}")
        if variant in (Variant.REAL_DEFAULTS, Variant.MEASURED) and not own.exists():
            return product.default
        elsewhere = variant is Variant.NOT_AFFECTED or self._elsewhere(table)
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


def _like_a_products(folder: Path) -> bool:
    """Whether somebody seems to have meant the folder of a product, such as a misspelt one."""
    return any(any(folder.glob(name)) for name in (EXPECTED, "broken.*", "fixed.*", "not-affected.*"))


def _among(order: tuple[int, ...], some: Some) -> bool:
    """Whether a version is meant."""
    since = some.since is None or order >= order_of(some.since)
    return since and (some.before is None or order < order_of(some.before))
