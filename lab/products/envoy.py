"""Envoy: ends any reply at 15 s in its defaults.

Hot restart is off: it claims shared memory under a fixed name, so a second process in the container
would not start. One worker each: dozens of them share the machine.
"""

from __future__ import annotations

from lab.products._product import Product


def _serve(path: str) -> list[str]:
    # Below `warning` Envoy writes some 80 lines at each start.
    quiet = ["--log-level", "warning"]
    # Access log lines otherwise wait for up to ten seconds, longer than most exchanges.
    prompt = ["--file-flush-interval-msec", "100"]
    return ["envoy", "-c", path, "--concurrency", "1", "--disable-hot-restart", *quiet, *prompt]


def _check(path: str) -> list[str]:
    return ["envoy", "--mode", "validate", "-c", path, "--log-level", "warning"]


PRODUCT = Product(
    name="envoy",
    suffix=".yaml",
    releases=("1.40",),
    command=_serve,
    check_command=_check,
    version_command=("envoy", "--version"),
    version_pattern=r"version: [0-9a-f]+/(\d+\.\d+\.\d+)",
)
