"""`lab init`: a workflow for GitHub as a starting point."""

from __future__ import annotations

import shlex
from pathlib import Path

from lab.errors import BadInput, EnvironmentFault
from lab.products import PRODUCTS, Product

WORKFLOW = Path(".github/workflows/token-streams.yml")
"""Below the repository's folder."""

_TEMPLATE = """\
# Does a stream of tokens come through {file}? Written by `lab init`; from here on it is yours.
name: Token streams
on: pull_request
permissions:
  contents: read
jobs:
  token-streams:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      # Where your lab comes from, at a version that you name.
      - run: pipx install git+https://your-host/token-stream-lab@v0.1.0
      # How long your answers take: 90 s stands for the wait for a first token, and for the silence amid a stream.
"""


def write_workflow(product: str, file: Path, version: str) -> Path:
    """Write a workflow that checks and verifies a file; returns where.

    Args:
        product: whose file it is.
        file: the configuration, in the working directory or below it.
        version: of the product; empty for the newest.

    Raises:
        BadInput: there is no such product, version or file, or a workflow is there already.
        EnvironmentFault: it cannot be written.
    """
    known = _known(product, version)
    here = Path.cwd()
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
    if not file.exists() or not file.resolve().is_relative_to(root.resolve()):
        raise BadInput(f"{file}: there is no such file below {root}.", "Give a configuration of this repository's.")
    relative = file.resolve().relative_to(root.resolve()).as_posix()
    path = root / WORKFLOW
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as written:
            written.write(_workflow(known, relative, version))
    except FileExistsError:
        raise BadInput(f"{path} is there already, and stays as it is.", "Move it away, or add to it by hand.") from None
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}", "Call lab init where a file can be written.") from error
    return path


def _known(name: str, version: str) -> Product:
    product = PRODUCTS.get(name)
    if product is None:
        raise BadInput(f"There is no {name}.", f"Choose from {', '.join(PRODUCTS)}.")
    numbers = [each.number for each in product.versions]
    if version and version not in numbers:
        raise BadInput(f"There is no {name} {version} here.", f"Choose from {', '.join(numbers)}.")
    return product


def _workflow(product: Product, file: str, version: str) -> str:
    words = [product.name, shlex.quote(file), *(["--version", version] if version else [])]
    waits = "--first-token 90s --gap 90s --format github"
    commands = [f"lab verify {' '.join(words)} {waits}"]
    if product.check is not None:
        commands.insert(0, f"lab check {' '.join(words)} {waits}")
    # In a block of its own no character of the file's name means anything to YAML.
    return _TEMPLATE.format(file=file) + "".join(f"      - run: |\n          {each}\n" for each in commands)
