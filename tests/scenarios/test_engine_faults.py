from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import pytest
from own_scenario import LONG, REFUSED, TABLE, write_scenario
from processes import PLAYED, START, await_line, end_of, left_by, messages, running

from lab import results
from lab.errors import ExitCode
from lab.testbed.sweep import sweep
from lab.vocabulary import Outcome

from .relay import Relay

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images_in_use")]


def outcomes(folder: Path) -> dict[str, Outcome]:
    """What a run has saved, by the case's id."""
    cases = results.load(folder / "results.json").cases()
    return {f"{scenario.id}::{proxy.proxy}::{case.label}": case.outcome for scenario, proxy, case in cases}


@pytest.fixture
def relay(tmp_path: Path) -> Any:
    """A way to the engine that can be cut."""
    with Relay(tmp_path / "engine.sock") as relay:
        yield relay


def test_a_refused_configuration_costs_its_own_case_only(tmp_path: Path, engine: docker.DockerClient) -> None:
    """Nginx's own words are in the terminal and in the results, the other sides pass, and it is a bad file."""
    write_scenario(tmp_path / "all" / "good")
    write_scenario(tmp_path / "all" / "refused", fixed=REFUSED)
    out = tmp_path / "out"
    with running("run", tmp_path / "all", "--out", out) as process:
        code, told, _ = end_of(process)
    assert code == ExitCode.BAD_INPUT
    assert outcomes(out) == {
        "good::nginx-1.26::broken": Outcome.PASSED,
        "good::nginx-1.26::fixed": Outcome.PASSED,
        "refused::nginx-1.26::broken": Outcome.PASSED,
        "refused::nginx-1.26::fixed": Outcome.SET_UP_FAILED,
    }
    assert 'unknown directive "no_such_directive"' in " ".join(told.split())
    assert left_by(engine, process.pid) == []


@pytest.mark.soak
def test_an_engine_that_dies_while_playing_costs_no_result(
    tmp_path: Path, engine: docker.DockerClient, relay: Relay
) -> None:
    """The streams do not lead through the engine, so all verdicts are there, and what still stands is told."""
    write_scenario(tmp_path / "all" / "good")
    # In the same container, so that it is up when the short ones are over, with three seconds to go.
    write_scenario(tmp_path / "all" / "longer", table=TABLE.replace("20ms", "300ms"))
    out = tmp_path / "out"
    with running("run", tmp_path / "all", "--out", out, env={"DOCKER_HOST": relay.address}) as process:
        await_line(process, PLAYED)
        relay.cut()
        code, told, err = end_of(process)
    try:
        assert code == ExitCode.NO_ENVIRONMENT
        assert set(outcomes(out).values()) == {Outcome.PASSED}
        assert (out / "report.html").is_file()
        (message,) = messages(err)
        assert "engine failed" in message
        assert "lab clean" in err
        assert "Cases" in told
        assert "Traceback" not in err
        assert left_by(engine, process.pid)
    finally:
        sweep(engine)
    assert left_by(engine, process.pid) == []


def test_an_engine_that_dies_while_starting_is_told(tmp_path: Path, engine: docker.DockerClient, relay: Relay) -> None:
    """There is no result yet; one message says what failed, and the next run removes what stands."""
    write_scenario(tmp_path / "all" / "good")
    with running("run", tmp_path / "all", "--out", tmp_path / "out", env={"DOCKER_HOST": relay.address}) as process:
        await_line(process, START)
        relay.cut()
        code, _, err = end_of(process)
    try:
        assert code == ExitCode.NO_ENVIRONMENT
        (message,) = messages(err)
        assert "engine" in message
        assert "Traceback" not in err
    finally:
        sweep(engine)
    assert left_by(engine, process.pid) == []


@pytest.mark.soak
def test_a_model_server_that_dies_costs_only_what_was_not_finished(tmp_path: Path, engine: docker.DockerClient) -> None:
    """The finished cases keep their verdicts, the others blame no proxy, and the exit code is 3."""
    write_scenario(tmp_path / "all" / "good")
    write_scenario(tmp_path / "all" / "long", table=LONG)
    out = tmp_path / "out"
    with running("run", tmp_path / "all", "--out", out) as process:
        # The long ones have ten seconds to go when the short ones are over.
        await_line(process, PLAYED)
        await_line(process, PLAYED)
        (model,) = [name for name in left_by(engine, process.pid) if name.endswith("-model")]
        engine.containers.get(model).kill()
        code, _, err = end_of(process)
    assert code == ExitCode.NO_ENVIRONMENT
    assert outcomes(out) == {
        "good::nginx-1.26::broken": Outcome.PASSED,
        "good::nginx-1.26::fixed": Outcome.PASSED,
        "long::nginx-1.26::broken": Outcome.HARNESS_FAILED,
        "long::nginx-1.26::fixed": Outcome.HARNESS_FAILED,
    }
    (message,) = messages(err)
    assert "2 of 4 cases ended without a verdict" in message
    assert "Traceback" not in err
    assert left_by(engine, process.pid) == []
