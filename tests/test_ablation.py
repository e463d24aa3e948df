"""Each line of the nginx snippet is taken out, and the failure that it is there for returns."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.catalogue import shipped_scenarios
from lab.judge import Observations
from lab.measure import Address, measure
from lab.probe.side_channel import SideChannel
from lab.products import PRODUCTS, Proxy
from lab.shipped import shipped
from lab.suite.settle import suite
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Requirement, State

SNIPPET = (shipped("nginx") / "streaming.conf").read_text()
DIRECTIVES = dict(re.findall(r"^((\w+) [^\n]*;)$", SNIPPET, flags=re.MULTILINE))
HOUSE = shipped_scenarios() / "recommended" / "nginx" / "fixed-over-house-defaults.conf"
VERSIONS = {version.number: Proxy(PRODUCTS["nginx"], version) for version in PRODUCTS["nginx"].versions}

# What breaks, by version, without the line. nginx 1.30 asks with HTTP/1.1 by itself, so it needs no line for it.
# "gzip off" is a second guard: buffering off makes gzip flush, so nothing breaks until both are gone.
WITHOUT = {
    ("proxy_http_version",): {"1.26": {Requirement.SHOWS_A_CUT_AS_A_CUT}, "1.30": set()},
    ("proxy_buffering",): {
        version: {
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            Requirement.DELIVERS_WHAT_WAS_SENT,
            Requirement.SENDS_HEADERS_AT_ONCE,
        }
        for version in VERSIONS
    },
    ("proxy_read_timeout",): {
        version: {
            Requirement.WAITS_FOR_THE_FIRST_TOKEN,
            Requirement.SURVIVES_SILENCE,
            Requirement.WAITS_FOR_BATCH_REPLIES,
        }
        for version in VERSIONS
    },
    ("gzip",): {number: set() for number in VERSIONS},
}


TIMES = 3
"""How often what the machine was too busy to tell is asked again."""


def way(names: tuple[str, ...]) -> str:
    """What is missing, in words."""
    return "without " + " and ".join(names)


@pytest.fixture(scope="module")
def observed(
    tmp_path_factory: pytest.TempPathFactory, images_in_use: Mapping[str, ImageInUse]
) -> Mapping[str, Observations]:
    """What the suite shows of the house's configuration without each of them, behind both versions, all at once."""
    folder = tmp_path_factory.mktemp("ablation")
    return asyncio.run(_measured(folder, images_in_use))


async def _measured(folder: Path, images: Mapping[str, ImageInUse]) -> Mapping[str, Observations]:
    targets = [
        Target(f"{way(names)} {number}", proxy, _written(folder / f"{'-'.join(names)}.conf", names))
        for names in WITHOUT
        for number, proxy in VERSIONS.items()
    ]
    async with Testbed(targets, Containers(images)) as testbed, SideChannel(testbed.model_url) as channel:
        addresses = {target.key: Address(testbed.url(target.key), testbed.model_url) for target in targets}
        observed = await measure(addresses, suite(), channel)
        # Other suites may run on the machine: what is in doubt for their sake is asked again, and nothing else.
        for _ in range(TIMES):
            unsure = [name for name, each in observed.items() if any(one.doubt for one in each.values())]
            again = await measure({name: addresses[name] for name in unsure}, suite(), channel)
            for name in unsure:
                first, second = observed[name], again[name]
                observed[name] = {each: second[each] if first[each].doubt else first[each] for each in first}
        return observed


def _written(path: Path, names: tuple[str, ...]) -> Path:
    """The house's configuration with what is left of the snippet in place of the snippet."""
    include = "include /etc/nginx/snippets/streaming.conf;"
    left = [line for line, name in DIRECTIVES.items() if name not in names]
    text = HOUSE.read_text()
    assert include in text
    path.write_text(text.replace(include, "\n".join(left)))
    return path


def test_every_line_has_its_ablation() -> None:
    """A line that is added to the snippet must be taken out here as well."""
    assert set(DIRECTIVES.values()) == {name for names in WITHOUT for name in names}


@pytest.mark.engine
@pytest.mark.grid
@pytest.mark.parametrize("number", VERSIONS)
@pytest.mark.parametrize("names", WITHOUT, ids=way)
def test_without_the_line_its_requirement_is_broken(
    observed: Mapping[str, Observations], names: tuple[str, ...], number: str
) -> None:
    """Just the requirements that the snippet's comments promise, and no other."""
    observations = observed[f"{way(names)} {number}"].values()
    assert {each.requirement for each in observations if each.state is State.NOT_MET} == WITHOUT[names][number]
    unclear = [each for each in observations if each.state is State.INCONCLUSIVE]
    assert not unclear
