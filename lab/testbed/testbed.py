"""The testbed: every configuration of a run behind a port of its own, all with the same model server.

    async with Testbed(targets, runner) as testbed:
        ask(testbed.url("idle-timeout::nginx-1.26::broken"))

Where they run is the runner's business (`lab.testbed.runner`). What stands here is the same for all: the model server
first, then every target at once, each of them up when it answers. A configuration that its proxy refuses costs only its
own target: asking for its address raises what the proxy said. Whatever happens during the start or after it, all is
taken down.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from lab.errors import BadInput, EnvironmentFault, SetUpFault, Unavailable
from lab.products import CERTIFICATE
from lab.testbed import _commands, _machine, _plan, config, readiness
from lab.testbed._plan import Instance, Target
from lab.testbed.certificate import certificate, trusting_any
from lab.testbed.readiness import Spoken
from lab.testbed.runner import Became, Runner, Started, together
from lab.vocabulary import Precedence

__all__ = ["Target", "Testbed"]


class Testbed:
    """All configurations of a run, up and answering while inside `async with`; used once.

    Args:
        targets: the configurations.
        runner: has them up.

    Raises:
        BadInput: two targets have the same key, or one is behind another that there is not.
    """

    __test__ = False
    """For pytest, which takes a class of that name for one of tests."""

    def __init__(self, targets: Sequence[Target], runner: Runner) -> None:
        _plan.check(targets)
        self.runner = runner
        self._targets = targets
        self._model: Started | None = None
        self._instances: Mapping[str, Instance] = {}
        self._places: dict[str, Started] = {}
        self._refused: dict[str, SetUpFault | Unavailable] = {}
        self._starts: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        try:
            self._instances, self._model = await self.runner.open(self._targets)
            self._starts = {key: asyncio.create_task(self._start(each)) for key, each in self._instances.items()}
            await together(self._await_model(self._model), *self._starts.values())
        except BaseException:
            await self._tear_down()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._tear_down()

    @property
    def precedence(self) -> Precedence:
        """How the model server comes to run before other processes."""
        return self.runner.precedence

    @property
    def model_url(self) -> str:
        """The model server, without any proxy between."""
        return _url(self._model)

    def tls(self, key: str) -> ssl.SSLContext:
        """What a client of a target trusts, if the target speaks TLS."""
        return certificate().client if self._instances[key].target.secure else trusting_any()

    def url(self, key: str) -> str:
        """The way through a target's proxy to the model server: scheme, host and port.

        Raises:
            SetUpFault: the proxy refused the configuration or never answered; carries its words.
            Unavailable: the runner cannot have the product.
        """
        if key in self._refused:
            raise self._refused[key]
        return _url(self._places.get(key))

    async def reload(self, key: str) -> None:
        """Have a target that is up read its files anew; what is under way goes on, as far as the product lets it.

        Raises:
            BadInput: its product takes another process for that, or the configuration cannot be read.
            EnvironmentFault: it could not be told.
        """
        product = self._instances[key].target.proxy.product
        if not product.reload:
            raise BadInput(f"{product.title} does not read its file anew here.", "Start it again.")
        instance = self._instances[key]
        again = replace(instance, edition=instance.edition + 1)
        self._instances = {**self._instances, key: again}
        await self.runner.reload(again)

    async def pids(self, key: str) -> Sequence[int]:
        """The processes that serve a target that is up, and no other.

        Raises:
            EnvironmentFault: they cannot be told.
        """
        return await self.runner.pids(self._instances[key])

    def told_only(self, port: int) -> str | None:
        """The target whose configuration alone was told of that port of the model server; None if none was."""
        return {own: key for key, each in self._instances.items() for own in each.model_ports}.get(port)

    def model_port(self, key: str) -> int:
        """The port at which a target alone asks the model server, the first of them."""
        return self._instances[key].model_ports[0]

    def log(self, key: str, lines: int = 20) -> list[str]:
        """The last lines that a target's process wrote; none where it was never started."""
        return self._places[key].tail(lines) if key in self._places else []

    def log_of_model(self, lines: int = 20) -> list[str]:
        """The last lines that the model server wrote."""
        return self._model.tail(lines) if self._model is not None else []

    async def _start(self, instance: Instance) -> None:
        key, target = instance.target.key, instance.target
        try:
            place = await self.runner.start(instance)
        except (SetUpFault, Unavailable) as fault:
            self._refused[key] = fault
            return
        self._places[key], complaint = await _heard(place, target.proxy.product.starting)
        if complaint is not None:
            became, words = complaint
            # The reader knows the file by its own path, not by the one that the process was given.
            said = words.replace(f"{instance.folder}/", f"{target.config.parent}/")
            if became is Became.DEAF:
                said = f"{became}:\n{config.loopback_lines(target.config) or '  (its files do not say where)'}"
            remedy = self.runner.remedy(target.proxy.product, became, said)
            if target.secure and target.over_tls is None:
                remedy += f" It was asked over TLS, since it has {CERTIFICATE}."
            self._refused[key] = SetUpFault(f"{target.proxy.id} with {target.config} {said}", remedy)

    async def _await_model(self, place: Started) -> None:
        _, complaint = await _heard(place)
        if complaint is not None:
            became, words = complaint
            raise EnvironmentFault(f"The model server {words}", self.runner.remedy(None, became, words))

    async def _tear_down(self) -> None:
        """Take everything down, to the end; whoever cancels it meanwhile has to wait for that."""
        removal = asyncio.ensure_future(self._stop_and_close())
        cancelled = False
        while not removal.done():
            try:
                await asyncio.shield(removal)
            except asyncio.CancelledError:
                cancelled = True
        removal.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _stop_and_close(self) -> None:
        for task in self._starts.values():
            task.cancel()
        await asyncio.gather(*self._starts.values(), return_exceptions=True)
        await self.runner.close()


async def _heard(place: Started, starting: int = 0) -> tuple[Started, tuple[Became, str] | None]:
    """Wait until a process answers: the place as it speaks there; if it does not, what became of it, also in words."""
    limit = _machine.patience(readiness.LIMIT)
    spoken = await readiness.await_answer(place.address, place.ended, limit, place.secure, place.deaf, starting)
    if spoken is not None:
        return replace(place, secure=place.secure or spoken is Spoken.TLS), None
    if place.ended.is_set():
        became, words = Became.ENDED, Became.ENDED.value
    elif await place.deaf():
        became, words = Became.DEAF, Became.DEAF.value
    else:
        became, words = Became.SILENT, f"{Became.SILENT} within {limit:g} s"
    said = _commands.last_lines("\n".join(place.tail(_commands.LAST_LINES)))
    return place, (became, f"{words}:\n{said or '  (it said nothing)'}")


def _url(place: Started | None) -> str:
    if place is None or place.address is None:
        raise RuntimeError("asked for an address before there is one")
    host, port = place.address
    return f"{'https' if place.secure else 'http'}://{host}:{port}"
