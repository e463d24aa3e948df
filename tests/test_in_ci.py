"""The lab in somebody else's repository: the action, the hook, the workflow that `lab init` writes, and the wheel."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from lab.cli import app, main
from lab.errors import ExitCode

ROOT = Path(__file__).parents[1]
ACTION: Mapping[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
COMMANDS = typer.main.get_command(app)


def command(name: str) -> Any:
    """One of the lab's commands."""
    found = COMMANDS.get_command(typer.Context(COMMANDS), name)  # type: ignore[attr-defined]  # it is a group
    assert found is not None, name
    return found


BROKEN = """\
server {
    listen 80;
    location /v1/ {
        proxy_pass http://model:8000;
        proxy_buffering on;
        proxy_read_timeout 600s;
    }
}
"""


def foreign(tmp_path: Path, file: str = "deploy/nginx.conf") -> Path:
    """A repository of somebody else's, with its own configuration."""
    repository = tmp_path / "their repository"
    path = repository / file
    path.parent.mkdir(parents=True)
    path.write_text(BROKEN)
    run("git", "init", "--quiet", where=repository)
    return repository


def run(*words: str | Path, where: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a program said and ended with; without what this process's own environment has for Python."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(words, cwd=where, env=own | environment, capture_output=True, text=True, check=False)


class TestAction:
    def test_every_input_is_used_and_every_used_one_is_there(self) -> None:
        """None is put into a script, where its text would be one."""
        values = [value for step in STEPS for value in step.get("env", {}).values()]
        used = {name for value in values for name in re.findall(r"inputs\.([\w-]+)", value)}
        assert used == set(ACTION["inputs"])
        assert [step["run"] for step in STEPS if "${{" in step["run"]] == []

    @pytest.mark.parametrize("name", ["check", "verify"])
    def test_its_options_are_options(self, name: str) -> None:
        """Of both commands that it may call, also where no input is given."""
        call = re.search(r"/bin/lab\" (.*)", STEPS[-1]["run"], re.DOTALL)
        assert call is not None
        _, *options = (re.sub(r"^\$\w+$", "", word) for word in shlex.split(call[1].replace("\\\n", " ")))
        command(name).make_context(name, options)


def test_the_hook_calls_a_command() -> None:
    """pre-commit puts the user's own arguments behind it."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    lab, name = hook["entry"].split()
    assert lab == "lab"
    command(name).make_context(name, ["nginx", "deploy/nginx.conf", "--gap", "90s"])
    assert hook["pass_filenames"] is False


def parts(document: Any) -> Iterator[Any]:
    """Everything in a document of YAML, at any depth."""
    yield document
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for each in inner:
        yield from parts(each)


def test_what_the_page_shows_fits_what_there_is() -> None:
    """Each of its files is YAML; its inputs are the action's, its hook is the hook, and its commands are commands."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    found = [part for block in blocks for part in parts(yaml.safe_load(block))]
    given = [each["with"] for each in found if isinstance(each, dict) and "/token-stream-lab@" in each.get("uses", "")]
    assert len(given) == 2
    assert {name for each in given for name in each} <= set(ACTION["inputs"])
    assert all(name in each for each in given for name, one in ACTION["inputs"].items() if one.get("required"))
    (hook,) = [each for each in found if isinstance(each, dict) and "args" in each]
    (known,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == known["id"]
    lines = [each.partition(" > ")[0] for each in found if isinstance(each, str)]
    calls = [shlex.split(line.partition("lab ")[2]) for line in lines if re.match(r"(/opt/lab/bin/)?lab ", line)]
    for name, *options in [*calls, ["check", *hook["args"]]]:
        command(name).make_context(name, options)
    assert len(calls) == 2


@pytest.mark.usefixtures("own_signals")
class TestInit:
    @pytest.mark.parametrize("file", ["deploy/nginx.conf", "it's: #1/nginx.conf"])
    def test_writes_a_workflow_whose_commands_are_commands(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
    ) -> None:
        """At the top of the repository, with the file as it is called from there."""
        repository = foreign(tmp_path, file)
        monkeypatch.chdir((repository / file).parent)
        assert main(["init", "nginx", "nginx.conf", "--version", "1.26"]) == ExitCode.AS_REQUIRED
        workflow = yaml.safe_load((repository / ".github/workflows/token-streams.yml").read_text())
        steps = workflow["jobs"]["token-streams"]["steps"]
        calls = [shlex.split(step["run"]) for step in steps if step.get("run", "").startswith("lab ")]
        assert [call[1] for call in calls] == ["check", "verify"]
        for _, name, *options in calls:
            assert options[:2] == ["nginx", file]
            command(name).make_context(name, options)

    def test_overwrites_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What stands there is somebody's."""
        repository = foreign(tmp_path)
        monkeypatch.chdir(repository)
        workflow = repository / ".github/workflows/token-streams.yml"
        workflow.parent.mkdir(parents=True)
        workflow.write_text("mine")
        assert main(["init", "nginx", "deploy/nginx.conf"]) == ExitCode.BAD_INPUT
        assert workflow.read_text() == "mine"
        assert "is there already" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["squid", "deploy/nginx.conf"], "There is no squid"),
            (["nginx", "deploy/nginx.conf", "--version", "0.8"], "no nginx 0.8"),
            (["nginx", "no-such-file"], "no-such-file"),
            (["nginx", "../outside.conf"], "outside.conf"),
        ],
    )
    def test_what_makes_no_sense_writes_nothing(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        named: str,
    ) -> None:
        """One message says what."""
        repository = foreign(tmp_path)
        (tmp_path / "outside.conf").write_text(BROKEN)
        monkeypatch.chdir(repository)
        assert main(["init", *arguments]) == ExitCode.BAD_INPUT
        assert named in capsys.readouterr().err
        assert not (repository / ".github").exists()


@pytest.mark.grid
@pytest.mark.engine
def test_the_actions_shell_steps_do_what_they_say(tmp_path: Path) -> None:
    """As a runner calls them: in a foreign repository; red, and green once the file is mended."""
    repository, temporary, page = foreign(tmp_path), tmp_path / "runner", tmp_path / "summary.md"
    temporary.mkdir()

    def act(step: Mapping[str, Any], **given: str) -> subprocess.CompletedProcess[str]:
        inputs = {name: each.get("default", "") for name, each in ACTION["inputs"].items()} | given
        values = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)
            for name, value in step.get("env", {}).items()
        }
        # As GitHub's documentation has it for `shell: bash`.
        bash = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
        runner = {"GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(temporary), "GITHUB_STEP_SUMMARY": str(page)}
        return run(*bash, where=repository, **runner, **values)

    *before, asking = STEPS
    wanted = {"product": "nginx", "version": "1.30", "file": "deploy/nginx.conf"}
    for step in before:
        done = act(step, **wanted, images=str(temporary / "images"))
        assert done.returncode == 0, done.stderr
    assert {path.name.rpartition("-")[0] for path in (temporary / "images").iterdir()} == {"nginx-1.30", "model"}
    for name in ("check", "verify"):
        done = act(asking, command=name, **wanted)
        assert done.returncode == ExitCode.REQUIREMENT_FAILED, done.stderr
        assert "::error file=deploy/nginx.conf,line=5,title=sends-headers-at-once::proxy_buffering on;" in done.stdout
    assert page.read_text().count("not as required") == 2
    (repository / "deploy/nginx.conf").write_text(BROKEN.replace("buffering on", "buffering off"))
    done = act(asking, **wanted)
    assert (done.returncode, done.stdout.strip()) == (ExitCode.AS_REQUIRED, ""), done.stderr


@pytest.mark.grid
@pytest.mark.engine
def test_the_wheel_in_a_clean_room_is_red_then_green(tmp_path: Path) -> None:
    """A fresh environment, a foreign repository and its file: not as required; after `lab fix --write`, as required."""
    repository, room = foreign(tmp_path), tmp_path / "room"
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT, where=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("token_stream_lab-*.whl")
    assert run(sys.executable, "-m", "venv", room, where=tmp_path).returncode == 0
    installed = run(room / "bin/pip", "install", "--quiet", "--no-compile", wheel, where=tmp_path)
    assert installed.returncode == 0, installed.stderr

    def lab(*arguments: str) -> tuple[int, str]:
        done = run(room / "bin/lab", *arguments, where=repository)
        return done.returncode, done.stdout + done.stderr

    file = ("nginx", "deploy/nginx.conf")
    for name in ("check", "verify"):
        code, said = lab(name, *file)
        assert code == ExitCode.REQUIREMENT_FAILED, said
        assert "deploy/nginx.conf:5: proxy_buffering on;" in said
    code, said = lab("fix", *file, "--write")
    assert code == ExitCode.AS_REQUIRED, said
    assert (repository / "deploy/nginx.conf").read_text() == BROKEN.replace("buffering on", "buffering off")
    code, said = lab("verify", *file)
    assert code == ExitCode.AS_REQUIRED, said
