from __future__ import annotations

import pytest

from lab.cli import main
from lab.cli import race as cli_race
from lab.errors import EnvironmentFault, ExitCode


@pytest.mark.usefixtures("own_signals")
def test_without_an_engine_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 before anything listens, with what the engine's side has to say."""

    def no_engine(*_: object) -> None:
        raise EnvironmentFault("no container engine", "Start one.")

    monkeypatch.setattr(cli_race, "choose", no_engine)
    assert main(["race", "--port", "0"]) == ExitCode.NO_ENVIRONMENT
    assert "Start one." in capsys.readouterr().err
