"""The commands for a configuration of the user's own: verify and fix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import Binaries, Runner, duration
from lab.cli.shell import app, err, out, say, without_signals
from lab.cli.terminal import print_line
from lab.errors import BadInput
from lab.vocabulary import RunnerName

if TYPE_CHECKING:
    from lab.cli.verify import VerifyOptions
    from lab.products.adapted import EntranceWish
    from lab.suite.settle import Waits

SOME = "4s; for lab check 60s"
"""Seconds of a wait that is not named."""

Product = Annotated[
    str,
    typer.Argument(
        metavar="PRODUCT",
        help="Whose file it is, such as nginx; that of an application server needs ${PORT} and ${MODEL} in it.",
    ),
]
Checked = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="Whose file it is: nginx; or by itself a path.toml with several hops.")
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The file as it is, a part of one, or a folder.")]
CheckedFile = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="The file as it is, a part of one, or a folder.")
]
Version = Annotated[str, typer.Option(metavar="NUMBER", help="The version, like 1.26.", show_default="the newest")]
AtPath = Annotated[str, typer.Option("--path", metavar="PATH", help="What clients ask for, like /v1/chat/completions.")]
Host = Annotated[str, typer.Option(metavar="NAME", help="The host that clients name.")]
Upstreams = Annotated[
    list[str] | None,
    typer.Option("--upstream", metavar="NAME", help="How the file calls the model; more than one can be given."),
]
Longest = Annotated[str, typer.Option(metavar="DURATION", help="The longest answer, like 10m.", show_default=SOME)]
FirstToken = Annotated[
    str,
    typer.Option(
        "--first-token", metavar="DURATION", help="The longest wait for a first token, like 90s.", show_default=SOME
    ),
]
Gap = Annotated[
    str, typer.Option(metavar="DURATION", help="The longest silence amid a stream, like 60s.", show_default=SOME)
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="A header of every request; no secret.")
]


@app.command(epilog="Example: lab verify nginx /etc/nginx/nginx.conf --version 1.26 --first-token 90s --gap 90s")
def verify(
    product: Product,
    file: File,
    path: AtPath = "",
    host: Host = "",
    upstream: Upstreams = None,
    longest: Longest = "",
    first_token: FirstToken = "",
    gap: Gap = "",
    version: Version = "",
    header: Headers = None,
    format_name: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="text, json, junit, sarif or github (annotations and summary)."),
    ] = "text",
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Run a configuration of your own against every requirement, and name the line that breaks one."""
    with without_signals():
        from lab.cli.verify import verify_and_report

    waits = (longest, first_token, gap)
    options = file_options(product, file, (path, host, upstream), waits, version, header, (runner, binary))
    raise typer.Exit(verify_and_report(options, format_name, out=out, err=err, say=say))


@app.command(epilog="Example: lab check nginx /etc/nginx/nginx.conf --version 1.26 --gap 90s")
def check(
    product: Checked,
    file: CheckedFile = None,
    path: AtPath = "",
    host: Host = "",
    upstream: Upstreams = None,
    longest: Longest = "",
    first_token: FirstToken = "",
    gap: Gap = "",
    version: Version = "",
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="text, json, sarif or github (annotations and summary).")
    ] = "text",
) -> None:
    """Read a configuration of your own and name the lines that are known to break a stream; runs nothing.

    A wait that you do not name counts as 60 s.
    """
    waits = _waits((longest, first_token, gap))
    if file is None:
        if not product.endswith(".toml"):
            raise BadInput(f"lab check {product}: there is no file.", "Give one behind the product, or a path.toml.")
        if any((path, host, upstream, version, format_name != "text")):
            raise BadInput(f"{product}: of a path only the waits are options.", "Write the rest into the file.")
        with without_signals():
            from lab.cli.whole_path import check_path_and_report

        raise typer.Exit(check_path_and_report(Path(product), waits, out))
    with without_signals():
        from lab.cli.check import check_and_report

    wish = _wish(path, host, upstream)
    raise typer.Exit(check_and_report(product, file, wish, waits, version, format_name, out))


@app.command(epilog="Example: lab fix nginx /etc/nginx/nginx.conf --longest 10m --write")
def fix(
    product: Product,
    file: File,
    path: AtPath = "",
    host: Host = "",
    upstream: Upstreams = None,
    longest: Longest = "",
    first_token: FirstToken = "",
    gap: Gap = "",
    version: Version = "",
    header: Headers = None,
    write: Annotated[bool, typer.Option("--write", help="Change the file; what it was stays beside it.")] = False,
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Print the fewest changes of your configuration with which it was seen to meet every requirement."""
    with without_signals():
        from lab.cli.verify import fix_and_report

    waits = (longest, first_token, gap)
    options = file_options(product, file, (path, host, upstream), waits, version, header, (runner, binary))
    raise typer.Exit(fix_and_report(options, write=write, out=out, say=say))


@app.command(epilog="Example: lab init nginx deploy/nginx.conf --version 1.26")
def init(product: Product, file: File, version: Version = "") -> None:
    """Write a workflow for GitHub that checks and verifies a configuration of yours; overwrites nothing."""
    with without_signals():
        from lab.cli.init import write_workflow

    path = write_workflow(product, file, version)
    print_line(out, f"written: {path}")
    print_line(out, "Put in where the lab comes from and how long your answers take, and commit it.")


@app.command(epilog="Example: lab prove nginx nginx.conf --version 1.26")
def prove(
    product: Product,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Configurations.", show_default="the product's recommended one"),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="LINE", help="Add this line instead, by itself; can be repeated."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="PATH", help="Write the result there; lab report makes a table.")
    ] = None,
    path: AtPath = "",
    host: Host = "",
    longest: Longest = "",
    first_token: FirstToken = "",
    gap: Gap = "",
    version: Annotated[
        str, typer.Option(metavar="NUMBER", help="One version only, like 1.26.", show_default="all that there are")
    ] = "",
    header: Headers = None,
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Leave out each line of a configuration, or add one, and say what breaks or mends by that, at each version."""
    with without_signals():
        from lab.cli.prove import prove_and_report

    where, waits = (path, host, None), (longest, first_token, gap)
    options = file_options(product, Path(), where, waits, version, header, (runner, binary))
    prove_and_report(options, files or [], tuple(add or ()), save, out=out, say=say)


Target = Annotated[str, typer.Argument(metavar="TARGET", help="PRODUCT:FILE or PRODUCT:VERSION:FILE.")]


@app.command(epilog="Example: lab migrate nginx:1.26:./nginx.conf nginx:1.30:./nginx.conf --longest 20s")
def migrate(
    old: Target,
    new: Target,
    path: AtPath = "",
    host: Host = "",
    longest: Longest = "",
    first_token: FirstToken = "",
    gap: Gap = "",
    header: Headers = None,
    runner: Runner = RunnerName.AUTO,
) -> None:
    """Hold two products, versions or files against the same suite, and say what gets better and what worse."""
    with without_signals():
        from lab.cli.verify import migrate_and_report

    waits, where = (longest, first_token, gap), (path, host, None)
    both = [
        file_options(product, file, where, waits, version, header, (runner, None))
        for product, version, file in map(product_and_file, (old, new))
    ]
    raise typer.Exit(migrate_and_report(*both, out=out, say=say))


def product_and_file(text: str) -> tuple[str, str, Path]:
    """Product, version and file of a target; the version is empty where the text has none.

    Raises:
        BadInput: it is no target.
    """
    product, colon, rest = text.partition(":")
    version, _, file = rest.rpartition(":")
    if not colon or not file:
        raise BadInput(f"{text}: there is no product and file.", "Write it like nginx:1.26:./nginx.conf.")
    return product, version, Path(file)


def file_options(
    product: str,
    file: Path,
    where: tuple[str, str, list[str] | None],
    waits: tuple[str, str, str],
    version: str,
    header: list[str] | None,
    runner: tuple[RunnerName, list[Path] | None],
) -> VerifyOptions:
    """What was given, read.

    Args:
        product: its name.
        file: the file, or a folder.
        where: path, host, and the names of upstreams.
        waits: the longest answer, first token and gap, each a duration or empty.
        version: the product's; empty for the newest.
        header: `NAME=VALUE` each.
        runner: which, and the binaries.

    Raises:
        BadInput: one of them makes no sense.
    """
    from lab.cli.verify import VerifyOptions
    from lab.testbed.supply import RunnerWish

    return VerifyOptions(
        product,
        file,
        version,
        _wish(*where),
        _waits(waits),
        headers_of(header),
        RunnerWish(runner[0], tuple(runner[1] or ())),
    )


def _wish(path: str, host: str, upstream: list[str] | None) -> EntranceWish:
    from lab.products.adapted import EntranceWish

    if path and not path.startswith("/"):
        raise BadInput(f"--path {path}: it begins with no slash.", "Write it like /v1/chat/completions.")
    return EntranceWish(path, host, tuple(upstream or ()))


def _waits(texts: tuple[str, str, str]) -> Waits:
    from lab.suite.settle import Waits

    names = ("--longest", "--first-token", "--gap")
    return Waits(*(duration(name, text) or 0.0 for name, text in zip(names, texts, strict=True)))


def headers_of(texts: list[str] | None) -> tuple[tuple[str, str], ...]:
    """Headers from `NAME=VALUE` each.

    Raises:
        BadInput: one has no name or no value.
    """
    return tuple(map(_header, texts or ()))


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise BadInput(f"--header {text}: there is no name and value.", "Write it like X-Team=search.")
    if not text.isascii():
        raise BadInput(f"--header {text}: a header is of ASCII.", "Write other characters as your server reads them.")
    return name.strip(), value.strip()
