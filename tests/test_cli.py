from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import docker
import pytest
import typer.main
from own_scenario import TABLE, write_scenario
from processes import LAB, LIMIT, await_line, end_of, left_by, messages, running
from reports.sample import sample

from lab import results, wire
from lab.catalogue import discover, shipped_scenarios
from lab.cli import app, main
from lab.cli.options import FORMATS
from lab.errors import EnvironmentFault, ExitCode
from lab.suite import REVISION
from lab.suite.settle import suite
from lab.testbed import images
from lab.testbed._pull import Registry
from lab.testbed.builders import Builder
from lab.vocabulary import Requirement, Variant

COMMANDS = tuple(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # it is a group


pytestmark = pytest.mark.usefixtures("own_signals")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A socket at which nobody listens, and a lab that may install nothing."""
    path = tmp_path / "dead.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setenv("LAB_INSTALL_ENGINE", "0")
    return path


def unwrapped(text: str) -> str:
    """What a command printed, as one line: the terminal's width is not the message's business."""
    return " ".join(text.split())


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_shows_an_example(self, capsys: pytest.CaptureFixture[str], command: str) -> None:
        """A reader of the help can copy a line that does something."""
        assert main([command, "--help"]) == ExitCode.AS_REQUIRED
        assert f"Example: lab {command}" in unwrapped(capsys.readouterr().out)

    def test_the_overview_tells_every_command_and_exit_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit codes are part of the interface, so they are told where the commands are."""
        assert main(["--help"]) == ExitCode.AS_REQUIRED
        told = unwrapped(capsys.readouterr().out)
        assert [name for name in COMMANDS if f" {name} " not in told] == []
        assert "0 all as required, 1 a requirement failed, 2 bad usage or a bad file, 3 the environment" in told


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["run", "silent-gasp"], "'silent-gasp'"),
            (["list", "silent-gap::squid"], "'silent-gap::squid'"),
            (["show", "silent-gasp"], "'silent-gasp'"),
            (["up", "silent-gasp", "nginx"], "'silent-gasp'"),
            (["up", "silent-gap", "squid"], "'squid'"),
            (["run", "--proxy", "nginx-0.1"], "'nginx-0.1'"),
            (["run", "bursts", "--proxy", "nginx", "--proxy", "squid"], "'squid'"),
            (["run", "bursts::haproxy", "--proxy", "envoy"], "nothing is left to run"),
        ],
    )
    @pytest.mark.usefixtures("no_engine")
    def test_an_unknown_name_is_answered_with_the_known_ones(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
    ) -> None:
        """One message names what was not understood, and a remedy follows it."""
        assert main(arguments) == ExitCode.BAD_INPUT
        told = capsys.readouterr()
        (message,) = messages(told.err)
        assert named in message
        assert len(unwrapped(told.err)) > len(message)
        assert told.out == ""

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["run", "--speed", "9"], "--speed"),
            (["walk"], "walk"),
            (["up", "silent-gap"], "PROXY"),
            (["serve", "--port", "99999"], "--port"),
            (["serve", "--port", "http"], "--port"),
        ],
    )
    def test_unknown_usage_is_told_once(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
    ) -> None:
        """A misspelt option or command is bad usage, and what was misspelt is named."""
        assert main(arguments) == ExitCode.BAD_INPUT
        told = capsys.readouterr().err
        assert told.count("Error") == 1
        assert named in told

    @pytest.mark.parametrize("command", [["run"], ["report"]])
    @pytest.mark.usefixtures("no_engine")
    def test_a_file_is_no_folder_for_reports(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
    ) -> None:
        """It is told before anything is run, not when the results are to be written."""
        file = tmp_path / "file"
        file.touch()
        assert main([*command, "--out", str(file)]) == ExitCode.BAD_INPUT
        told = capsys.readouterr().err
        assert "--out" in told
        assert str(file) in told


def test_the_help_names_every_wire_format() -> None:
    """It has them as a text, since importing them takes longer than the help may."""
    assert FORMATS.split(", ") == sorted(wire.FORMATS)


class TestSuite:
    def test_names_every_requirement_and_every_request(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What a target is judged by can be read before it is judged."""
        assert main(["suite"]) == ExitCode.AS_REQUIRED
        told = unwrapped(capsys.readouterr().out)
        assert [each.value for each in Requirement if each.value not in told] == []
        assert [each.name for each in suite() if not re.search(rf"\b{each.name}\b", told)] == []
        assert REVISION in told


class TestList:
    def test_lists_every_scenario_with_its_proxies(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The names are what the other commands take, and they are the folders' names."""
        assert main(["list"]) == ExitCode.AS_REQUIRED
        told = capsys.readouterr().out
        folders = sorted(path.parent.name for path in shipped_scenarios().glob("*/scenario.toml"))
        assert [name for name in folders if not re.search(rf"^{name}\s", told, re.MULTILINE)] == []
        assert "nginx-1.26" in told

    def test_brackets_in_a_title_are_text(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """A title is its author's, and nobody's markup."""
        write_scenario(tmp_path / "mine", table=TABLE.replace("A stream", "[red]A stream"))
        assert main(["list", str(tmp_path)]) == ExitCode.AS_REQUIRED
        assert "[red]A stream" in unwrapped(capsys.readouterr().out)

    def test_a_scenarios_name_is_no_folder(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder that happens to be called like a scenario does not hide it, and `./` says which is meant."""
        (tmp_path / "bursts").mkdir()
        monkeypatch.chdir(tmp_path)
        assert main(["list", "bursts"]) == ExitCode.AS_REQUIRED
        assert main(["list", "./bursts"]) == ExitCode.BAD_INPUT
        assert "bursts: no scenario.toml below it" in capsys.readouterr().err

    def test_scenarios_of_a_folder_can_be_named_behind_it(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        """The folder first, then names from it; one that it lacks is told with those that it has."""
        for name in ("one", "other"):
            write_scenario(tmp_path / name)
        assert main(["list", str(tmp_path), "other"]) == ExitCode.AS_REQUIRED
        told = capsys.readouterr().out
        assert "other" in told
        assert "one" not in told
        assert main(["list", str(tmp_path), "bursts"]) == ExitCode.BAD_INPUT
        assert "Known: one, other" in capsys.readouterr().err
        assert main(["list", "bursts", str(tmp_path)]) == ExitCode.BAD_INPUT
        assert "folder of scenarios before the names" in unwrapped(capsys.readouterr().err)

    def test_no_cell_is_empty(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Envoy shows some failures and is not affected by others; the list says which, as the report does."""
        assert main(["list", "--proxy", "envoy", "bursts", "silent-gap"]) == ExitCode.AS_REQUIRED
        rows = re.split(r"^(?=silent-gap)", capsys.readouterr().out, flags=re.MULTILINE)
        assert "not affected" in rows[0]
        assert "not affected" not in rows[1]
        assert all("envoy-1.40" in row for row in rows)

    def test_a_product_stands_for_all_its_versions(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And a version by itself where another differs."""
        assert main(["list", "compression"]) == ExitCode.AS_REQUIRED
        told = unwrapped(capsys.readouterr().out)
        assert {"nginx", "caddy-2.8", "caddy-2.11"} <= set(told.split())
        assert "nginx-1.26" not in told


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_help_cuts_no_summary(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    """Every command's first sentence stands there whole, however narrow the window."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["--help"]) == ExitCode.AS_REQUIRED
    told = " ".join(capsys.readouterr().out.partition("Commands:")[2].split())
    assert "..." not in told
    assert "starts no container and asks nobody. images Have every image" in told


class TestShow:
    def test_tells_the_story_and_the_difference(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """What the fixed file adds to the broken one stands there as an added line."""
        write_scenario(tmp_path / "mine")
        assert main(["show", str(tmp_path)]) == ExitCode.AS_REQUIRED
        told = capsys.readouterr().out
        assert "A story" in told
        assert re.search(r"^\+ +proxy_http_version 1\.1;$", told, re.MULTILINE)

    def test_shows_every_shipped_scenario(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each fix is there under its case's id."""
        for scenario in discover(shipped_scenarios()):
            assert main(["show", scenario.id]) == ExitCode.AS_REQUIRED
            told = unwrapped(capsys.readouterr().out)
            assert [s.id for s in scenario.cases if s.variant is Variant.FIXED and s.id not in told] == []


class TestReport:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """Saved results."""
        path = tmp_path / "results.json"
        results.save(sample(), path)
        return path

    def test_makes_the_reports_beside_the_file(self, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        """A saved run can be read again without an engine."""
        assert main(["report", str(file)]) == ExitCode.AS_REQUIRED
        assert {path.name for path in file.parent.iterdir()} == {"results.json", "report.html", "junit.xml"}
        assert "idle-timeout" in capsys.readouterr().out

    def test_makes_them_elsewhere_if_asked(self, file: Path, tmp_path: Path) -> None:
        """The folder is made, and the saved file's own stays as it is."""
        assert main(["report", str(file), "--out", str(tmp_path / "new" / "folder")]) == ExitCode.AS_REQUIRED
        assert (tmp_path / "new" / "folder" / "report.html").is_file()
        assert [path.name for path in file.parent.iterdir() if path.is_file()] == ["results.json"]

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            (None, "No such file"),
            ("{", "no JSON"),
            ("[]", "no JSON document"),
            ("{}", "format_version is None"),
            ('{"format_version": 99}', "99"),
            ('{"format_version": 1}', "format_version is 1, not 3"),
            ('{"format_version": 3}', "lab_version"),
        ],
    )
    def test_a_broken_file_is_bad_input(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, named: str
    ) -> None:
        """The message names the file and what is wrong in it; no report is made of half a run."""
        path = tmp_path / "results.json"
        if content is not None:
            path.write_text(content)
        assert main(["report", str(path)]) == ExitCode.BAD_INPUT
        (message,) = messages(capsys.readouterr().err)
        assert str(path) in message
        assert named in message
        assert not (tmp_path / "report.html").exists()

    def test_a_folder_that_cannot_be_made_is_named(self, capsys: pytest.CaptureFixture[str], file: Path) -> None:
        """Below a file there is no room for a folder."""
        assert main(["report", str(file), "--out", str(file / "below")]) == ExitCode.NO_ENVIRONMENT
        (message,) = messages(capsys.readouterr().err)
        assert str(file / "below") in message


def test_a_taken_port_is_told_in_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever starts a second model server learns that the first has the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == ExitCode.NO_ENVIRONMENT
    (line,) = capsys.readouterr().err.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "listens there already" in line


Change = Callable[[Path], object]


def in_table(old: str, new: str) -> Change:
    """Write something else into `scenario.toml`."""
    assert old in TABLE

    def change(folder: Path) -> None:
        (folder / "scenario.toml").write_text(TABLE.replace(old, new))

    return change


BAD_SCENARIOS: dict[str, tuple[Change, Sequence[str]]] = {
    "unknown key": (in_table("title =", "titel ="), ("scenario.toml", "unknown key titel")),
    "bad value": (in_table('"batched"', '"slow"'), ("scenario.toml", "symptom.stream.delivery")),
    "unknown requirement": (in_table("-as-they-come", "-at-once"), ("scenario.toml", "requirement")),
    "unknown product": (lambda folder: (folder / "nginx").rename(folder / "ngnix"), ("mine/ngnix", "unknown product")),
    "unknown plan field": (in_table("tokens =", "tokns ="), ("scenario.toml", "exchanges.stream.plan.tokns")),
    "bad plan value": (in_table('"20ms"', '"20 parsecs"'), ("scenario.toml", "exchanges.stream.plan.interval")),
    "no TOML": (in_table("[exchanges.stream]", "[exchanges"), ("scenario.toml", "line 6")),
    "unknown consumer": (in_table("[symptom", '[fixed]\nconsumers = ["no.py:read"]\n[symptom'), ("mine", "no.py:read")),
    "missing case": (lambda folder: (folder / "nginx" / "fixed.conf").unlink(), ("nginx/fixed.conf", "missing")),
    "missing story": (lambda folder: (folder / "README.md").unlink(), ("mine", "README.md is missing")),
    "unreadable story": (lambda folder: (folder / "README.md").write_bytes(b"\xff"), ("README.md", "utf-8")),
}


@pytest.mark.parametrize(("change", "named"), BAD_SCENARIOS.values(), ids=BAD_SCENARIOS)
@pytest.mark.usefixtures("no_engine")
def test_a_faulty_scenario_is_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, change: Change, named: Sequence[str]
) -> None:
    """One message names file and key, a remedy follows, and no engine is asked for (none answers here)."""
    folder = write_scenario(tmp_path / "scenarios" / "mine")
    change(folder)
    assert main(["run", str(folder.parent), "--out", str(tmp_path / "out")]) == ExitCode.BAD_INPUT
    told = capsys.readouterr().err
    (message,) = messages(told)
    assert [word for word in named if word not in message] == []
    assert told.splitlines()[-1].startswith("     ")


class TestNoEngine:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["run", "bursts", "--runner", "containers"],
            ["up", "bursts", "haproxy", "--runner", "containers"],
            ["images"],
            ["clean"],
            ["doctor"],
        ],
        ids=" ".join,
    )
    def test_is_the_environments_fault(
        self,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        no_engine: Path,
        arguments: list[str],
    ) -> None:
        """Every command that needs one names the address at which none answers, and what to do."""
        monkeypatch.chdir(tmp_path)
        assert main(arguments) == ExitCode.NO_ENVIRONMENT
        told = capsys.readouterr()
        text = unwrapped(told.err + told.out)
        assert str(no_engine) in text
        assert "DOCKER_HOST" in text or "docker version" in text
        assert len(messages(told.err)) == (0 if arguments == ["doctor"] else 1)


@pytest.mark.engine
def test_an_image_that_cannot_be_had_is_told_with_both_reasons(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: docker.DockerClient
) -> None:
    """Without image and network the message has the registry's refusal and the build's, and a remedy."""

    def no_build(*_: object, **__: object) -> None:
        raise EnvironmentFault("apt-get failed with exit code 100", "Is there a network?")

    def no_pull(registry: Registry, reference: str) -> None:
        registry.refusal = f"no such host, asked for {reference}"

    monkeypatch.setattr(images, "_find", lambda *_: None)
    monkeypatch.setattr(Registry, "pull", no_pull)
    monkeypatch.setattr(Builder, "build", no_build)
    assert engine.ping()
    assert main(["run", "bursts::haproxy-3.0", "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    told = capsys.readouterr().err
    assert len(messages(told)) == 1
    assert re.search(r"could not be pulled \(no such host.*not be built either", unwrapped(told))
    assert "apt-get failed" in told
    assert "Is there a network?" in told


@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
class TestUp:
    def test_prints_commands_that_work(self, engine: docker.DockerClient, tmp_path: Path) -> None:
        """A reader repeats an exchange by hand, by copying the line; Ctrl-C tidies up."""
        write_scenario(tmp_path / "mine")
        with running("up", tmp_path, "nginx-1.26") as process:
            await_line(process, "mine::nginx-1.26::fixed")
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("curl ")
            reply = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=LIMIT).stdout
            assert reply.rstrip().endswith("data: [DONE]")
            # Every token by its number, whatever words they are.
            assert {int(number) for number in re.findall(r":(\d+)@", reply)} == set(range(1, 11))
            assert left_by(engine, process.pid)
            code, _, err = end_of(process, signal.SIGINT)
        assert code == 130
        assert messages(err) == ["lab: stopped"]
        assert left_by(engine, process.pid) == []


def test_the_command_is_installed() -> None:
    """What the documentation calls `lab` is there."""
    done = subprocess.run([LAB, "--help"], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == 0
    assert "Usage: lab" in done.stdout
