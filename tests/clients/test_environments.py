"""Installing the clients: once, whole, and with a reason where it cannot be done."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from lab.clients import environments
from lab.clients.environments import CURRENT, NPM, CannotInstall, Environment, SystemProgram, command, prepare


@pytest.fixture(name="wheel")
def _wheel(tmp_path: Path) -> Path:
    """A package of one module, made by hand so that pip needs no network."""
    files = {
        "sole.py": "KIND = 'herring'\n",
        "sole-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: sole\nVersion: 1.0\n",
        "sole-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    path = tmp_path / "sole-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, "sole-1.0.dist-info/RECORD": record + "sole-1.0.dist-info/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.grid
def test_an_environment_is_made_once_and_half_a_one_again(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's Python has the pinned package; a second run installs nothing; without its mark it is made anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (tmp_path / "fish.txt").write_text(f"sole @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    environment = Environment("fish", ("sole==1.0",), pins_folder=tmp_path)
    folder = prepare(environment)
    python, *_ = command(environment, "sdks.py")
    said = subprocess.run([python, "-c", "import sole; print(sole.KIND)"], capture_output=True, text=True, check=True)
    assert said.stdout == "herring\n"
    (folder / "mine").touch()
    assert prepare(environment) == folder
    assert (folder / "mine").exists()
    (folder / "ready").unlink()
    assert prepare(environment) == folder
    assert not (folder / "mine").exists()


def test_another_lock_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's name depends on all that is installed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    environment = Environment("one", ("a==1",), pins_folder=tmp_path)
    environment.lock.write_text("a==1\nb==1\n")
    first = environment.folder
    environment.lock.write_text("a==1\nb==2\n")
    assert environment.folder != first


@pytest.mark.parametrize(
    ("environment", "words"),
    [(CURRENT, ("--require-hashes", "--requirement", str(CURRENT.lock))), (NPM, ("ci", "--ignore-scripts"))],
    ids=["pip", "npm"],
)
def test_only_what_is_locked_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: Environment, words: tuple[str, ...]
) -> None:
    """A package with other contents than those that were locked is refused by pip and npm, and runs nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    commands: list[list[str]] = []
    monkeypatch.setattr(environments, "_run", lambda command, _: commands.append(command))
    monkeypatch.setattr(SystemProgram, "find", lambda _: "node")
    folder = prepare(environment)
    assert set(words) <= set(commands[-1])
    if environment is NPM:
        assert (folder / "package-lock.json").read_bytes() == NPM.lock.read_bytes()


@pytest.mark.grid
def test_what_pip_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that cannot be had is named, and the half-made folder is not taken for a whole one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    absent = tmp_path / "absent-1.0-py3-none-any.whl"
    (tmp_path / "none.txt").write_text(f"absent @ {absent.as_uri()} --hash=sha256:{'0' * 64}\n")
    environment = Environment("none", ("absent==1.0",), pins_folder=tmp_path)
    with pytest.raises(CannotInstall, match="absent-1.0"):
        prepare(environment)
    assert not (environment.folder / "ready").exists()


def test_a_missing_program_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such browser nothing is installed, and the reason says how to get one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    environment = Environment("browser", ("playwright==1",), SystemProgram(("no-such-browser",), ("it",)))
    with pytest.raises(CannotInstall, match=r"no no-such-browser on this machine; try: apt-get install it"):
        prepare(environment)
    assert not environment.folder.exists()


def test_without_npm_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The npm clients' environment says which package brings npm."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotInstall, match="nodejs npm"):
        prepare(NPM)
