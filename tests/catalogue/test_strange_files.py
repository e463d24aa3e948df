"""A scenario's folder that somebody else has packed: what is in it may be anything but a file of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from odd_files import make_long, make_pipe
from own_scenario import TABLE, write_scenario

from lab.catalogue import discover, load_scenario
from lab.errors import BadInput
from lab.files import LONGEST_TEXT
from lab.scenarios.consumers import check_consumers

FILES = ("scenario.toml", "README.md", "nginx/expected.toml", "nginx/broken.conf", "nginx/fixed.conf")
"""What the lab reads."""

BESIDE = "nginx/cert.pem"
"""What it copies along with the configurations."""

CONSUMER = "naive.py"
"""What it runs."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good scenario with a certificate beside its configurations, and a consumer."""
    table = TABLE + f'[fixed]\nconsumers = ["{CONSUMER}:read"]\n'
    folder = write_scenario(tmp_path / "all" / "mine", table=table)
    (folder / BESIDE).write_text("a certificate")
    (folder / CONSUMER).write_text("def read(*_, **__): ...\n")
    return folder


def load(folder: Path) -> None:
    """All that is done before anything is started."""
    scenario = load_scenario(folder)
    check_consumers([scenario])


def test_the_folder_is_good(folder: Path) -> None:
    """So that what the other tests see is what they have done to it."""
    load(folder)


@pytest.mark.parametrize("name", [*FILES, BESIDE, CONSUMER])
def test_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    """Its content would get into a container or a report; the message names the link and where it leads."""
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(BadInput) as told:
        load(folder)
    assert str(folder / name) in told.value.problem
    assert str(outside) in told.value.problem


def test_a_folder_of_configurations_may_be_no_link_out(folder: Path) -> None:
    """`nginx` may not be /etc/nginx."""
    (folder / "nginx").rename(folder.parent / "elsewhere")
    (folder / "nginx").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(BadInput, match="elsewhere"):
        load(folder)


@pytest.mark.parametrize("name", [*FILES, BESIDE, CONSUMER])
def test_a_link_within_the_folder_is_followed(folder: Path, name: str) -> None:
    """Two variants may share a file."""
    (folder / "shared").mkdir()
    (folder / name).rename(folder / "shared" / "file")
    (folder / name).symlink_to(os.path.relpath(folder / "shared" / "file", (folder / name).parent))
    load(folder)


def test_a_folder_behind_a_link_is_the_users_own_choice(folder: Path) -> None:
    """Who names a link on the command line means what it leads to."""
    (folder.parent.parent / "link").symlink_to(folder.parent)
    assert [scenario.id for scenario in discover(folder.parent.parent / "link")] == ["mine"]


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_is_refused(folder: Path, name: str) -> None:
    """Reading it would wait for a writer that never comes."""
    (folder / name).unlink()
    make_pipe(folder / name)
    with pytest.raises(BadInput, match="not a regular file") as told:
        load(folder)
    assert name in told.value.problem


def test_what_is_no_file_beside_a_configuration_is_left_alone(folder: Path) -> None:
    """A socket or a pipe that a proxy made there is copied nowhere."""
    os.mkfifo(folder / "nginx" / "pipe")
    (folder / "nginx" / "gone").symlink_to("nowhere")
    load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_end_is_refused(folder: Path, name: str) -> None:
    """A sparse one costs its author nothing, and would cost the reader all memory."""
    make_long(folder / name, LONGEST_TEXT + 1)
    with pytest.raises(BadInput, match="longer than") as told:
        load(folder)
    assert name in told.value.problem


@pytest.mark.parametrize("consumer", ["../outside.py:read", "/outside.py:read", "gone.py:read", "\\u0000.py:read"])
def test_a_consumer_is_a_file_of_the_folder(folder: Path, consumer: str) -> None:
    """A name in a table is no path to everywhere."""
    (folder.parent / "outside.py").write_text("def read(*_, **__): ...\n")
    table = (folder / "scenario.toml").read_text()
    (folder / "scenario.toml").write_text(table.replace(f"{CONSUMER}:read", consumer))
    with pytest.raises(BadInput, match="leads to|no consumer"):
        load(folder)


def test_scenarios_of_one_collection_may_share_a_consumer(folder: Path) -> None:
    """The lab's own do; a scenario elsewhere is no neighbour, though it is one."""
    table = (folder / "scenario.toml").read_text()
    for place in ("all/other", "elsewhere/other"):
        other = write_scenario(folder.parents[1] / place)
        (other / "shared.py").write_text("def read(*_, **__): ...\n")
    (folder / "scenario.toml").write_text(table.replace(CONSUMER, "../other/shared.py"))
    load(folder)
    (folder / "scenario.toml").write_text(table.replace(CONSUMER, "../../elsewhere/other/shared.py"))
    with pytest.raises(BadInput, match="leads to"):
        load(folder)


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "a\nlab: all verified", "a\N{RIGHT-TO-LEFT OVERRIDE}b", "a\udc9bb"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    """The folder's name is the scenario's in every report, on the command line and in pytest."""
    write_scenario(tmp_path / name)
    with pytest.raises(BadInput, match="characters without a shape"):
        load_scenario(tmp_path / name)


def test_any_other_name_is_a_name(tmp_path: Path) -> None:
    """Spaces and letters of any script have always been fine."""
    assert load_scenario(write_scenario(tmp_path / "Größe und Zahl")).id == "Größe und Zahl"
