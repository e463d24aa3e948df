"""`--runner` and `--binary` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_scenario import write_scenario
from processes import messages

from lab.cli import main
from lab.cli.runners import only
from lab.errors import BadInput, ExitCode
from lab.products import PRODUCTS
from lab.testbed.binaries import Binary, Had, as_version

pytestmark = pytest.mark.usefixtures("own_signals")


def binary(name: str, version: str) -> Binary:
    """One that the user has named."""
    path = Path("/opt", name, version)
    return Binary(as_version(PRODUCTS[name], version, path), path, version, Had.NAMED)


OLD, NEW, HAPROXY = binary("nginx", "1.22.1"), binary("nginx", "1.28.0"), binary("haproxy", "3.0.11")


@pytest.mark.parametrize(
    ("named", "asked", "meant"),
    [
        ([], [], []),
        ([], ["nginx", "envoy"], ["nginx", "envoy"]),
        ([OLD], [], ["nginx-1.22.1"]),
        ([OLD, NEW], [], ["nginx-1.22.1", "nginx-1.28.0"]),
        ([OLD, HAPROXY], [], ["nginx-1.22.1", "haproxy-3.0"]),
        ([OLD], ["nginx"], ["nginx-1.22.1"]),
        ([OLD], ["nginx-1.22.1", "envoy"], ["nginx-1.22.1", "envoy"]),
        ([OLD, NEW], ["nginx"], ["nginx-1.22.1", "nginx-1.28.0"]),
    ],
)
def test_a_binary_stands_for_its_product(named: list[Binary], asked: list[str], meant: list[str]) -> None:
    """It alone is run, unless others are asked for beside it."""
    assert only(named, asked) == meant


@pytest.mark.parametrize("asked", [["nginx-1.26"], ["haproxy"], ["haproxy", "nginx-1.30"]])
def test_a_binary_of_another_version_than_asked_for_is_bad_input(asked: list[str]) -> None:
    """Thing, place and remedy: which binary, what it is, and what was asked for."""
    with pytest.raises(
        BadInput, match=r"--binary /opt/nginx/1\.22\.1: it is nginx 1\.22\.1, and --proxy asks"
    ) as caught:
        only([OLD], asked)
    assert "--proxy nginx-1.22.1" in caught.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        ["--binary", "/bin/sh"],
        ["--binary", "/no/such/file"],
        ["--binary", "NGINX", "--binary", "NGINX"],
        ["--binary", "NGINX", "--proxy", "nginx-1.26"],
        ["--binary", "NGINX", "--runner", "containers"],
        ["--proxy", "nginx-0.8"],
    ],
    ids=" ".join,
)
def test_what_does_not_fit_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """Exit code 2, before anything is started or written."""
    nginx = tmp_path / "nginx"
    nginx.write_text("#!/bin/sh\necho nginx version: nginx/1.22.1\n")
    nginx.chmod(0o755)
    scenario = write_scenario(tmp_path / "held")
    out = tmp_path / "out"
    arguments = [str(nginx) if each == "NGINX" else each for each in options]
    assert main(["run", str(scenario), *arguments, "--out", str(out)]) == ExitCode.BAD_INPUT
    assert len(messages(capsys.readouterr().err)) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["clients", "httpx", "--binary", "/bin/sh"],
        ["race", "--port", "0", "--binary", "/bin/sh"],
        ["compare", "--binary", "/bin/sh"],
        ["compare", "http://127.0.0.1:9/v1", "--runner", "processes"],
    ],
    ids=" ".join,
)
def test_every_command_with_a_testbed_takes_both_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A binary of no product is refused by each, and so is a runner for an address of the user's."""
    out = [] if arguments[0] == "race" else ["--out", str(tmp_path)]
    assert main([*arguments, *out]) == ExitCode.BAD_INPUT
    assert "--binary" in messages(capsys.readouterr().err)[0]
