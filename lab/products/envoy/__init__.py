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

_LOOKUP = '"$(command -v envoy)"'

# What Envoy is told on its command line only may stand in its file, as a comment such as `# --drain-time-s 45`.
_OPTIONS = "$(sed -n 's/^# \\(--drain-time-s [0-9]*\\)$/\\1/p' \"$file\")"

# Of its own folder, so that a file can name those beside it.
_START = f'file=$1; shift; cd "${{file%/*}}" && exec {_LOOKUP} -c "$file" {_OPTIONS} "$@"'

# It notices a file that is moved to where it has read one, and no file that is written there.
_RELOAD = (
    'grep -q path_config_source "$2" || { echo "it reads this file at its start only"; exit 1; }; '
    'cd "${2%/*}" && for file in *.yaml; do cp "$file" moved && mv moved "$file"; done'
)


def _serve(path: str) -> list[str]:
    # Below `warning` Envoy writes some 80 lines at each start.
    quiet = ["--log-level", "warning"]
    # Access log lines otherwise wait for up to ten seconds, longer than most exchanges.
    prompt = ["--file-flush-interval-msec", "100"]
    return ["sh", "-c", _START, "sh", path, "--concurrency", "1", "--disable-hot-restart", *quiet, *prompt]


def _at_home(text: str, _: str) -> str:
    return re.sub(r"address: 0\.0\.0\.0(?=,\s*port_value: \"?\$\{PORT\})", "address: 127.0.0.1", text)


PRODUCT = Product(
    name="envoy",
    title="Envoy",
    suffix=".yaml",
    versions=(Version("1.40", "envoyproxy/envoy:v1.40.0", Wheel("wheel.txt", "envoy/_bin/envoy")),),
    command=_serve,
    version_command=("sh", "-c", f"{_LOOKUP} --version"),
    programs=("envoy",),
    lookup=_LOOKUP,
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
    reload=_RELOAD,
    adapt=adapt,
    levers=LEVERS,
)
