"""Envoy: ends any reply at 15 s in its defaults.

Hot restart is off: it claims shared memory under a fixed name, so a second process in the container
would not start. One worker each: dozens of them share the machine.
"""

from __future__ import annotations

import re

from lab.products._product import Product, Remedy, Signs, Version, Wheel, header
from lab.products.envoy.adapt import adapt
from lab.products.envoy.settings import LEVERS
from lab.vocabulary import Trouble


def _serve(path: str) -> list[str]:
    # Below `warning` Envoy writes some 80 lines at each start.
    quiet = ["--log-level", "warning"]
    # Access log lines otherwise wait for up to ten seconds, longer than most exchanges.
    prompt = ["--file-flush-interval-msec", "100"]
    return ["envoy", "-c", path, "--concurrency", "1", "--disable-hot-restart", *quiet, *prompt]


def _at_home(text: str, _: str) -> str:
    return re.sub(r"address: 0\.0\.0\.0(?=,\s*port_value: \"?\$\{PORT\})", "address: 127.0.0.1", text)


PRODUCT = Product(
    name="envoy",
    title="Envoy",
    suffix=".yaml",
    versions=(Version("1.40", "envoyproxy/envoy:v1.40.0", Wheel("wheel.txt", "envoy/_bin/envoy")),),
    command=_serve,
    version_command=("envoy", "--version"),
    version_pattern=r"version: [0-9a-f]+/(\d+\.\d+\.\d+)",
    signs=Signs(
        headers=(
            header("server", r"^envoy\b"),
            header("x-envoy-upstream-service-time"),
            header("x-envoy-decorator-operation"),
        ),
        pages=(
            re.compile(r"\A(?:upstream request timeout|stream timeout|no healthy upstream)\s*\Z"),
            re.compile(r"\Aupstream connect error or disconnect/reset before headers"),
        ),
    ),
    remedy=Remedy("recommended.yaml", {Trouble.TIMEOUT: ("timeout:", "idle_timeout:")}),
    forks=("Istio",),
    at_home=_at_home,
    adapt=adapt,
    levers=LEVERS,
)
