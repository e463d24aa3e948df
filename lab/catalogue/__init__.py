"""The catalogue: scenarios found by walking folders, read into frozen values.

What belongs here is data about failures, never anything that connects or starts. Below stand the plan,
the wire formats' and the proxies' names, and the table of requirements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.catalogue.loader import FILE, load_scenario
from lab.catalogue.scenario import Case, Scenario
from lab.catalogue.selection import folder_and_names, select
from lab.catalogue.waits import with_waits
from lab.errors import BadInput
from lab.products import PRODUCTS, Product
from lab.shipped import shipped

__all__ = [
    "Case",
    "Scenario",
    "discover",
    "folder_and_names",
    "load_scenario",
    "select",
    "shipped_scenarios",
    "with_waits",
]


def shipped_scenarios() -> Path:
    """The folder of scenarios that comes with the lab."""
    return shipped("scenarios")


def discover(root: Path, products: Mapping[str, Product] = PRODUCTS, names: Sequence[str] = ()) -> tuple[Scenario, ...]:
    """Every scenario below a folder, in the order in which a reader should meet them.

    Args:
        root: the folder.
        products: as `load_scenario` takes them.
        names: as `select` takes them; where each fits a folder, no other is read.

    Raises:
        BadInput: the folder has none, or one of them is faulty; names the file and the key.
    """
    files = sorted(root.rglob(FILE))
    if not files:
        raise BadInput(f"{root}: no {FILE} below it", "Give a folder of scenarios, or a scenario's own folder.")
    wanted = {name.partition("::")[0] for name in names}
    if wanted <= {file.parent.name for file in files}:
        files = [file for file in files if not wanted or file.parent.name in wanted]
    scenarios = [load_scenario(file.parent, products) for file in files]
    names = [scenario.id for scenario in scenarios]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"{root}: two scenarios are called {name!r}", "Rename one of the folders.")
    return tuple(sorted(scenarios, key=lambda scenario: (scenario.order, scenario.id)))
