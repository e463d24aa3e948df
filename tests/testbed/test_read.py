"""Files of a running container, as its engine hands them over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import EnvironmentFault
from lab.testbed import _containers

END = f"{_containers._END}\n".encode()


def container(*outputs: bytes) -> Any:
    """One whose engine hands over these, one after the other."""
    left = iter(outputs)
    return cast(Any, SimpleNamespace(name="it", exec_run=lambda *_, **__: SimpleNamespace(output=next(left))))


def test_an_output_without_its_end_is_asked_for_again() -> None:
    """What was cut off would look like nobody listening."""
    assert _containers.read(container(b"", b"tab", b"table\n" + END), ["/proc/net/tcp"]) == "table\n"


def test_an_output_that_never_comes_whole_is_told() -> None:
    """A verdict would rest on half of it."""
    with pytest.raises(EnvironmentFault, match="output has no end"):
        _containers.read(container(*[b"tab"] * 9), ["/proc/net/tcp"])
