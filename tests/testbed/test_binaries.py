from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.products import PRODUCTS, OwnBinary
from lab.testbed.binaries import Binary, Had, as_version, named, on_path, with_versions

PATH = Path("/opt/bin")

OUTPUTS = {
    "nginx": ("nginx version: nginx/1.22.1\n", "1.22.1"),
    "haproxy": ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12"),
    "envoy": ("\nenvoy  version: 8f0d8b7f7c6b5a493827160f5e4d3c2b1a098765/1.36.2/Clean/RELEASE/BoringSSL\n", "1.36.2"),
}


def program(path: Path, prints: str, code: int = 0) -> Path:
    """A program that prints something."""
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("name", "output", "version"), [(name, *each) for name, each in OUTPUTS.items()])
def test_a_binary_is_what_it_prints_whatever_its_file_is_called(
    tmp_path: Path, name: str, output: str, version: str
) -> None:
    """Each product's output gives its version; an unlisted one runs as that very version."""
    (found,) = named([program(tmp_path / "mine", output)], PRODUCTS.values())
    assert (found.proxy.product.name, found.version, found.how) == (name, version, Had.NAMED)
    assert found.proxy.id == f"{name}-{version}"
    assert found.proxy.version.source == OwnBinary(tmp_path / "mine")


def test_a_listed_version_keeps_its_name() -> None:
    """Expectations, reports and the user's `--proxy` know it by that."""
    product = PRODUCTS["nginx"]
    assert as_version(product, "1.26.3", PATH).id == "nginx-1.26"
    assert as_version(product, "1.2.6", PATH).id == "nginx-1.2.6"
    assert as_version(product, "1.29.8", PATH).version.order == (1, 29, 8)


def test_versions_of_this_machine_stand_beside_the_listed_ones() -> None:
    """In the order of their age; a listed one is not there twice, and other products stay as they are."""
    product = PRODUCTS["nginx"]
    found = [Binary(as_version(product, each, PATH), PATH, each, Had.ON_PATH) for each in ("1.28.2", "1.26.3")]
    extended = with_versions(PRODUCTS, found)
    assert [each.number for each in extended["nginx"].versions] == ["1.26", "1.28.2", "1.30"]
    assert extended["haproxy"] is PRODUCTS["haproxy"]
    assert extended["nginx"].default == product.default


@pytest.mark.parametrize(
    ("make", "why"),
    {
        "nothing there": (lambda path: path, "no program is there"),
        "no program": (lambda path: path.touch() or path, "no program is there"),
        "a folder": (lambda path: path.mkdir() or path, "no program is there"),
        "another product": (lambda path: program(path, "curl 8.5.0"), "does not call itself"),
        "one that prints nothing": (lambda path: program(path, "", 1), "does not call itself"),
    }.values(),
)
def test_another_program_is_bad_input(tmp_path: Path, make: object, why: str) -> None:
    """The message names the path and what would be one."""
    path = make(tmp_path / "it")  # type: ignore[operator]  # each of them takes a path
    with pytest.raises(BadInput, match=why) as caught:
        named([path], PRODUCTS.values())
    assert str(path) in caught.value.problem
    assert caught.value.remedy


def test_two_of_one_version_are_one_too_many(tmp_path: Path) -> None:
    """Both would be called the same in every result."""
    first, second = (program(tmp_path / each, OUTPUTS["nginx"][0]) for each in ("first", "second"))
    with pytest.raises(BadInput, match=r"nginx-1\.22\.1.*first"):
        named([first, second], PRODUCTS.values())


def test_the_path_is_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product is found under its own name only, and what does not tell its version is as good as none."""
    program(tmp_path / "nginx", OUTPUTS["nginx"][0])
    program(tmp_path / "haproxy", "I am not well", 1)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = {each.proxy.product.name: each for each in on_path(PRODUCTS.values())}
    assert found["nginx"].path == tmp_path / "nginx"
    assert found["nginx"].how is Had.ON_PATH
    assert "haproxy" not in found
