from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

import lab.products
from lab.errors import BadInput
from lab.products import PRODUCTS, PROXIES, Product, resolve
from lab.testbed.processes import command_of

PRINTED = {
    "nginx": ("nginx version: nginx/1.26.3\n", "1.26.3"),
    "haproxy": ("HAProxy version 3.0.11-1+deb13u4 2026/01/01 - https://haproxy.org/\nStatus: ...", "3.0.11"),
    "envoy": ("\nenvoy  version: 0a1b2c/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
}


@pytest.fixture(params=list(PRODUCTS.values()), ids=list(PRODUCTS))
def product(request: pytest.FixtureRequest) -> Product:
    """Each product in turn."""
    found: Product = request.param
    return found


def test_each_module_is_a_product() -> None:
    """A product is named after its folder, which is all it takes to add one."""
    folder = Path(lab.products.__file__).parent
    assert {path.parent.name for path in folder.glob("*/__init__.py")} == set(PRODUCTS)


def test_each_has_its_configurations(product: Product) -> None:
    """As installed, and as it should be; both say where to listen and whom to ask."""
    for file in (product.default, product.recommended):
        assert "${PORT}" in file.read_text()
        assert "${MODEL" in file.read_text()


def test_no_other_file_knows_a_products_name() -> None:
    """What is done for one product alone stands in its folder; comments and examples may name it."""
    lab_folder = Path(lab.__file__).parent
    names = {word for product in PRODUCTS.values() for word in (product.name, product.title)}
    found = []
    for path in sorted(lab_folder.rglob("*.py")):
        if not path.is_relative_to(lab_folder / "products"):
            texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            found += [(str(path), text) for text in texts if text in names]
    assert found == []


def test_nothing_here_knows_the_engine() -> None:
    """The package says what to run and imports nothing that runs it."""
    for path in Path(lab.products.__file__).parent.rglob("*.py"):
        imported = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not {name for name in imported if name.startswith(("docker", "testcontainers", "lab.testbed"))}


def test_a_product_means_all_its_versions(product: Product) -> None:
    """The name of a product gives every version, the oldest first."""
    numbers = [version.number for version in sorted(product.versions, key=lambda version: version.order)]
    assert [proxy.id for proxy in resolve(product.name)] == [f"{product.name}-{number}" for number in numbers]


def test_an_id_means_one_proxy() -> None:
    """The id of a proxy gives that one only."""
    assert resolve("nginx-1.30") == (PROXIES["nginx-1.30"],)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """Whoever mistypes a proxy learns what there is."""
    with pytest.raises(BadInput, match="'nginx-9'") as caught:
        resolve("nginx-9")
    assert all(name in str(caught.value) for name in (*PRODUCTS, *PROXIES))


def test_commands_name_the_file(product: Product) -> None:
    """Serving reads the file that it is given."""
    assert "/a/b.c" in product.command("/a/b.c")


def test_two_configurations_of_nginx_share_no_pid_file() -> None:
    """Two nginx side by side in one container do not overwrite each other's pid file."""
    command = PRODUCTS["nginx"].command
    assert command("/posts/8001/fixed.conf")[-1] != command("/posts/8002/fixed.conf")[-1]


@pytest.mark.parametrize("name", PRINTED)
def test_the_version_is_read_from_what_the_binary_prints(name: str) -> None:
    """The version in reports is the one that the binary printed; each run reads it of every image that it uses."""
    printed, version = PRINTED[name]
    assert PRODUCTS[name].read_version(printed) == version


def test_what_is_no_version_is_not_read_as_one(product: Product) -> None:
    """A binary that does not start has no version."""
    assert product.read_version("sh: 1: command not found") is None


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """A program that tells what it was asked to do."""
    path = tmp_path / "binary"
    path.write_text('#!/bin/sh\necho asked: "$@"\n')
    path.chmod(0o755)
    return path


def told(command: list[str]) -> tuple[int, str]:
    """The exit code of a command, and what it wrote."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # a product's
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("# --drain-time-s 45", "--drain-time-s 45 "),
        ("admin: {}", ""),
        ("# --drain-time-s 45 is what others have", ""),
        ("# --drain-time-s $(reboot)", ""),
    ],
)
def test_envoy_is_told_how_long_it_drains_by_a_comment(tmp_path: Path, binary: Path, line: str, options: str) -> None:
    """It has that on its command line only; no other comment gets there."""
    (config := tmp_path / "envoy.yaml").write_text(f"# first\n{line}\nnode: {{}}\n")
    _, said = told(command_of(PRODUCTS["envoy"], binary, str(config), tmp_path))
    assert said.startswith(f"asked: -c {config} {options}--concurrency 1 ")


@pytest.mark.parametrize(
    ("name", "config", "code", "said"),
    [
        ("caddy", "{\n\tadmin unix//own.sock\n}", 0, "asked: reload --adapter caddyfile --force --config FILE"),
        # Where none is named it would speak to localhost:2019, where somebody else's may listen.
        ("caddy", "{\n\tadmin off\n}", 1, "its file has no admin endpoint of its own (admin unix/...)"),
        ("envoy", "lds_config: {path_config_source: {path: ./x.yaml}}", 0, ""),
        ("envoy", "static_resources: {}", 1, "it reads this file at its start only"),
    ],
)
def test_a_file_that_cannot_be_read_anew_is_told_of(
    tmp_path: Path, binary: Path, name: str, config: str, code: int, said: str
) -> None:
    """Rather than nothing happening, or to somebody else."""
    file = tmp_path / f"it{PRODUCTS[name].suffix}"
    file.write_text(config)
    expected = said.replace("FILE", str(file))
    assert told(PRODUCTS[name].reloading("1", str(file), str(binary))) == (code, f"{expected}\n" if said else "")


def test_envoy_is_given_each_file_by_moving_it(tmp_path: Path) -> None:
    """It notices nothing else; the contents stay, and nothing is left beside them."""
    texts = {"envoy.yaml": "lds_config: {path_config_source: {path: ./x.yaml}}", "x.yaml": "resources: []"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    before = {name: (tmp_path / name).stat().st_ino for name in texts}
    assert told(PRODUCTS["envoy"].reloading("1", str(tmp_path / "envoy.yaml")))[0] == 0
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == texts
    assert all((tmp_path / name).stat().st_ino != inode for name, inode in before.items())
