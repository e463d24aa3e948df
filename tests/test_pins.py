"""What is fetched from elsewhere is held to its contents, and the tool that renews it knows how."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from lab.clients.environments import NPM_FILES, Environment
from lab.errors import EnvironmentFault
from lab.testbed import _pins
from lab.testbed.images import MODEL, TABLE

ROOT = Path(__file__).parents[1]
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("renew_pins", ROOT / "tools" / "renew_pins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
LOCKS = [
    *sorted(_pins.FOLDER.glob("*.txt")),
    *sorted(TOOL.PRODUCTS_FOLDER.glob("*/*.txt")),
    *(each.lock for each in TOOL.environments()),
]


def test_every_line_is_the_digest_of_an_image_in_use() -> None:
    """No line is left of an image that is gone, and none says less than a digest."""
    digests = json.loads(_pins.IMAGES.read_text())
    assert set(digests) <= {each.reference for each in TABLE.values()}
    assert all(SHA256.fullmatch(digest) for digest in digests.values())


def test_an_image_without_a_line_is_pulled_by_its_tag() -> None:
    """A product can be added without a word to the pins: nothing is asked for but what its folder names."""
    assert _pins.digest_of("somebody/proxy:1.2.3") is None
    assert replace(TABLE[MODEL], reference="somebody/proxy:1.2.3").pinned == "somebody/proxy:1.2.3"


def test_the_models_dockerfile_stands_on_the_same_python() -> None:
    """The image that users build themselves has the base that the lab's own has."""
    assert f"\nARG BASE={TABLE[MODEL].pinned}\n" in (ROOT / "Dockerfile").read_text()
    assert SHA256.search(TABLE[MODEL].pinned)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_package_has_its_version_and_its_hashes(lock: Path) -> None:
    """Nothing floats, nothing goes without a hash, and no index is named."""
    text = lock.read_text()
    requirements = re.split(r"(?m)^(?=\S)", text)[1:]
    assert requirements
    for each in requirements:
        assert re.match(r"[\w.-]+==[\w.+!-]+( ; .+)? \\\n", each), each.splitlines()[0]
        assert SHA256.search(each)
    assert "://" not in text


@pytest.mark.parametrize("environment", TOOL.environments(), ids=lambda each: each.name)
def test_the_lock_has_what_the_environment_names(environment: Environment) -> None:
    """A version that was changed by hand is in the lock as well; if it is not, the tool must be run."""
    locked = f"\n{environment.lock.read_text()}"
    assert [pin for pin in environment.pins if f"\n{pin} " not in locked] == []


def test_the_npm_lock_has_what_the_package_names() -> None:
    """The whole tree, each package by its hash, and nothing of the registry that was asked for it."""
    package, lock = (json.loads(path.read_text()) for path in NPM_FILES)
    tree = dict(lock["packages"])
    assert tree.pop("")["dependencies"] == package["dependencies"]
    assert all(each["integrity"].startswith("sha512-") for each in tree.values())
    assert "resolved" not in NPM_FILES[1].read_text()


def test_every_action_is_held_to_a_commit() -> None:
    """A tag can be moved to other code; the version stands behind it for the reader and for the tool."""
    used = [
        line.strip()
        for file in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in file.read_text().splitlines()
        if "uses:" in line
    ]
    assert used
    assert [line for line in used if not re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


TAGS = [
    f"{'1' * 40}\trefs/tags/v4",
    f"{'2' * 40}\trefs/tags/v4.9.0",
    f"{'3' * 40}\trefs/tags/v4.10.1",
    f"{'4' * 40}\trefs/tags/v4.10.1^{{}}",
    f"{'5' * 40}\trefs/tags/v5.0.0",
    f"{'6' * 40}\trefs/tags/v4.11.0-beta",
]


def test_the_newest_release_of_a_major_version_is_taken() -> None:
    """Numbers and not letters decide, the commit behind an annotated tag counts, and the next major is a choice."""
    assert TOOL.newest_of(TAGS, "v4") == ("v4.10.1", "4" * 40)
    with pytest.raises(EnvironmentFault, match="v3"):
        TOOL.newest_of(TAGS, "v3")
