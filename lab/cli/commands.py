"""The commands for the lab itself: its scenarios, its model server, its containers, its reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Column, Table

from lab.catalogue import Scenario, discover, folder_and_names, select, shipped_scenarios, with_waits
from lab.cli.options import Binaries, Runner, duration
from lab.cli.shell import RESULTS, app, err, out, run_until_stopped, say, without_signals
from lab.cli.terminal import print_line
from lab.errors import ExitCode
from lab.judge import REQUIREMENTS
from lab.printable import printable
from lab.products import PRODUCTS, PROXIES, Product, Proxy
from lab.suite import REVISION
from lab.suite.settle import Waits
from lab.suite.settle import suite as suite_of_requests
from lab.vocabulary import RunnerName, Variant

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SCENARIO]...",
        help="Scenarios, or a folder of your own and, if you like, scenarios of it; all if none is given.",
    ),
]
Proxies = Annotated[
    list[str] | None,
    typer.Option("--proxy", metavar="PROXY", help=f"Only behind this proxy, e.g. nginx or {next(iter(PROXIES))}."),
]


@app.command(epilog="Example: lab run silent-gap --proxy nginx")
def run(
    names: Names = None,
    proxy: Proxies = None,
    real_defaults: Annotated[
        bool, typer.Option("--real-defaults", help="Measure the products' own timeouts as well; takes over a minute.")
    ] = False,
    longest: Annotated[
        str, typer.Option(metavar="DURATION", help="Wait for whole answers at least so long, like 90s.")
    ] = "",
    first_token: Annotated[
        str, typer.Option("--first-token", metavar="DURATION", help="Wait for a first token at least so long.")
    ] = "",
    gap: Annotated[str, typer.Option(metavar="DURATION", help="Be silent amid a stream at least so long.")] = "",
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--out",
            file_okay=False,
            help=f"Folder for results.json, report.html and junit.xml; if none is given, a new one in {RESULTS}, "
            "to which its link latest leads.",
        ),
    ] = None,
) -> None:
    """Run scenarios: broken variants must show their symptom, fixed variants must meet their requirement.

    What is met about waiting is met up to the longest wait that was made, which is some seconds; the three durations
    ask for more. All waits run at once: a run takes little longer than the longest of them.
    """
    texts = {"--longest": longest, "--first-token": first_token, "--gap": gap}
    waits = Waits(*(duration(option, text) or 0.0 for option, text in texts.items()))
    with without_signals():
        from lab.cli.run import run_and_report
        from lab.cli.runners import supplied
        from lab.testbed.supply import RunnerWish, Supply

    def choose(supply: Supply, proxies: Sequence[str]) -> tuple[Scenario, ...]:
        return with_waits(_chosen(names, proxies, supply.products, real_defaults=real_defaults), waits)

    supply, chosen = supplied(RunnerWish(runner, tuple(binary or ())), proxy or (), choose, say)
    raise typer.Exit(run_and_report(chosen, to, supply, real_defaults=real_defaults, out=out, err=err))


@app.command(epilog="Example: lab suite")
def suite() -> None:
    """List the requirements, and the requests that settle each."""
    exchanges = suite_of_requests()
    secure = sum(not exchange.is_for(secure=False) for exchange in exchanges)
    out.print(
        f"Suite {REVISION}: {len(exchanges) - secure} requests of each target, all at once, "
        f"and {secure} more over HTTP/2 where it speaks TLS."
    )
    for requirement, criterion in REQUIREMENTS.items():
        names = [exchange.name for exchange in exchanges if requirement in exchange.requirements]
        settled = (
            "every request"
            if len(names) == len(exchanges)
            else ", ".join(names) or "none of these; scenarios are about it"
        )
        out.print(
            f"\n[bold]{requirement.value}[/], since {criterion.since}\n{criterion.sentence}\nSettled by: {settled}"
        )


@app.command("list", epilog="Example: lab list --proxy envoy")
def list_(names: Names = None, proxy: Proxies = None) -> None:
    """List the scenarios, and behind which proxies each can be run."""
    chosen = _chosen(names, proxy or ())
    name = Column("Scenario", no_wrap=True, min_width=max(len(scenario.id) for scenario in chosen))
    table = Table(name, "Group", "What goes wrong", "Proxies", box=None, pad_edge=False)
    for scenario in chosen:
        table.add_row(scenario.id, scenario.group, escape(printable(scenario.title)), _behind(scenario))
    out.print(table)


def _behind(scenario: Scenario) -> str:
    """Behind which proxies something is wrong or measured, and behind which it is shown that nothing is."""
    words = []
    for label, not_affected in (("", False), ("not affected: ", True)):
        proxies = dict.fromkeys(
            case.proxy for case in scenario.cases if (case.variant is Variant.NOT_AFFECTED) is not_affected
        )
        if proxies:
            words.append(label + " ".join(_names_of(proxies)))
    return "\n".join(words)


def _names_of(proxies: Iterable[Proxy]) -> list[str]:
    """A product's name where all its versions are there, else each version's."""
    ids: dict[Product, list[str]] = {}
    for proxy in proxies:
        ids.setdefault(proxy.product, []).append(proxy.id)
    names: list[str] = []
    for product, versions in ids.items():
        names += [product.name] if 1 < len(versions) == len(product.versions) else versions
    return names


@app.command(epilog="Example: lab show silent-gap")
def show(name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name, as in lab list.")]) -> None:
    """Tell a scenario's story, with the difference between its broken and fixed configurations."""
    with without_signals():
        from lab.catalogue.difference import fix_of

    for scenario in _chosen([name]):
        out.print(Markdown(scenario.readme))
        for case in scenario.cases:
            if case.variant is Variant.FIXED:
                out.print()
                print_line(out, f"{case.id}  {case.title}".rstrip(), "bold")
                difference = fix_of(scenario, case) or "The proxy's configuration stays as it is."
                out.print(difference, soft_wrap=True, highlight=False, markup=False)


@app.command(epilog="Example: lab up silent-gap nginx")
def up(
    name: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario's name, as in lab list.")],
    proxy: Annotated[str, typer.Argument(metavar="PROXY", help="A product or a release, e.g. nginx or nginx-1.26.")],
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Start a scenario's cases and print a curl command for the first three exchanges of each; ends at Ctrl-C."""
    with without_signals():
        from lab.cli.run import keep_up
        from lab.cli.runners import supplied
        from lab.testbed.supply import RunnerWish, Supply

    def choose(supply: Supply, proxies: Sequence[str]) -> tuple[Scenario, ...]:
        return _chosen([name], proxies, supply.products)

    supply, chosen = supplied(RunnerWish(runner, tuple(binary or ())), [proxy], choose, say)
    run_until_stopped(keep_up(chosen, supply, out=out, say=say))


@app.command(epilog="Example: lab serve --port 8000")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    secret_file: Annotated[
        Path | None,
        typer.Option("--secret-file", metavar="FILE", help="A file with the secret to obey; or set LAB_SECRET."),
    ] = None,
    connections: Annotated[
        int, typer.Option(min=1, help="Most of them at once; a load test may need more, at some 15 KB each.")
    ] = 4096,
) -> None:
    """Serve the fake model on this machine, without a container; ends at Ctrl-C.

    With a secret it obeys whoever sends that. Without one: on an address of this machine alone it obeys the programs
    here, and web pages from here but no other site's; on any other address everybody.
    """
    with without_signals():
        from lab.model.__main__ import main as serve_model

    secret = [] if secret_file is None else ["--secret-file", str(secret_file)]
    raise typer.Exit(serve_model(["--host", host, "--port", str(port), "--connections", str(connections), *secret]))


@app.command(epilog="Example: lab clients openai-3 httpx")
def clients(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLIENT]...", help="Clients; all if none is given.")
    ] = None,
    to: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for clients.json and clients.html.")
    ] = RESULTS,
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Measure what real clients tell their users about every ending; installs them into the cache."""
    with without_signals():
        from lab.cli.clients import choose, clients_and_report
        from lab.testbed.supply import RunnerWish

    wish = RunnerWish(runner, tuple(binary or ()))
    clients_and_report(choose(names or ()), to, wish, out=out, err=err, say=say)


@app.command(epilog="Example: lab race --port 8080")
def race(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    runner: Runner = RunnerName.AUTO,
    binary: Binaries = None,
) -> None:
    """Show in a browser what a person waits for, streamed, held back and batch; ends at Ctrl-C."""
    with without_signals():
        from lab.cli.race import keep_racing
        from lab.testbed.supply import RunnerWish

    run_until_stopped(keep_racing(host, port, RunnerWish(runner, tuple(binary or ())), out=out, say=say))


@app.command(epilog="Example: lab report lab-results/latest/results.json --out /tmp/report")
def report(
    file: Annotated[
        Path, typer.Argument(help="What lab run, audit, clients, compare or prove saved: results.json, audit.json, ...")
    ] = RESULTS / "latest" / "results.json",
    to: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Folder for the reports; the file's own if not given.")
    ] = None,
) -> None:
    """Make the reports again from saved results; starts no container and asks nobody."""
    with without_signals():
        from lab.cli.report import report_again

    report_again(file, to or file.parent, out)


@app.command(epilog="Example: lab images nginx-1.26 --keep lab-images")
def images(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PRODUCT]...", help="Like nginx or nginx-1.26; all if none is given."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, metavar="FOLDER", help="Load images from its files first, and save there what it lacks."
        ),
    ] = None,
) -> None:
    """Have every image of the lab: present, else pulled, else built; print which and how."""
    with without_signals():
        from lab.testbed.engine import ensure_engine
        from lab.testbed.images import ensure, keys_of
        from lab.testbed.kept import ensure_kept

    keys = keys_of(names or ())
    client = ensure_engine(say)
    try:
        had = ensure(keys, say) if keep is None else ensure_kept(client, keys, keep, say)
    finally:
        client.close()
    table = Table("Image", "Reference", "Version", "How", box=None, pad_edge=False)
    for image in had.values():
        table.add_row(image.key, image.reference, image.version, image.how)
    out.print(table)


@app.command(epilog="Example: lab clean")
def clean(
    everything: Annotated[
        bool, typer.Option("--all", help="Everything of the lab's, also what labs that run are using.")
    ] = False,
) -> None:
    """Remove what labs that were killed have left: containers, networks, processes and folders; images stay."""
    with without_signals():
        from lab.testbed.engine import connect
        from lab.testbed.sweep import sweep, sweep_folders

    # These need no engine.
    folders = sweep_folders(everything)
    for path in folders:
        print_line(out, f"removed folder {path}")
    client = connect()
    try:
        swept = sweep(client, everything)
    finally:
        client.close()
    for what, names in (("container", swept.containers), ("network", swept.networks), ("folder", swept.folders)):
        for name in names:
            print_line(out, f"removed {what} {name}")
    if not (swept or folders):
        out.print("Nothing was left behind.")
    if swept.kept:
        out.print(
            f"{swept.kept} containers and networks stay: they are in use, or it cannot be seen from here whether they "
            "are. `lab clean --all` removes them too."
        )


@app.command(epilog="Example: lab doctor")
def doctor() -> None:
    """Look at engine, images and versions, change nothing, and name the remedy for what is missing."""
    with without_signals():
        from lab.testbed.doctor import examine

    findings = examine()
    for finding in findings:
        print_line(out, f"{'ok     ' if finding.ok else 'MISSING'}  {finding.what}")
        if not finding.ok:
            print_line(out, f"         {finding.remedy}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(ExitCode.NO_ENVIRONMENT)


def _chosen(
    names: Sequence[str] | None,
    proxies: Sequence[str] = (),
    products: Mapping[str, Product] = PRODUCTS,
    *,
    real_defaults: bool = False,
) -> tuple[Scenario, ...]:
    """What a user means, of the lab's own scenarios or of those in the folder that is named first."""
    shipped = shipped_scenarios()
    folder, rest = folder_and_names(names or (), ids={each.name for each in shipped.iterdir()})
    return select(discover(folder or shipped, products, rest), rest, proxies, real_defaults=real_defaults)
