"""The model server's image, as the Dockerfile at the top builds it: it runs without rights and obeys its owner only."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from lab.cache import machine_lock
from lab.testbed._confined import confinement
from lab.testbed._containers import read
from lab.testbed._owner import labels, new_run
from lab.testbed.images import MODEL, ImageInUse

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
SECRET = "correct-horse-battery"
ASK = b'{"model": "lab", "messages": [{"role": "user", "content": "go"}]}'
ANSWER_LIMIT = 20.0

Images = Mapping[str, ImageInUse]


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, images_in_use: Images) -> Iterator[str]:
    """The image, built on a base that is there and brings the packages, so that no index is asked."""
    base, tag = images_in_use[MODEL].reference, f"token-stream-lab/served:{new_run()}"
    # Another suite's image has the same layers, and to remove it while they are being used spoils this one.
    with machine_lock("images"):
        engine.images.build(path=str(ROOT), tag=tag, buildargs={"BASE": base}, rm=True, forcerm=True)
    yield tag
    with machine_lock("images"):
        engine.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def served(engine: docker.DockerClient, image: str) -> Iterator[Container]:
    """A container of it with a secret, published on loopback, which has said that it listens."""
    container = engine.containers.run(
        image,
        detach=True,
        environment={"LAB_SECRET": SECRET},
        ports={"8000/tcp": ("127.0.0.1", None)},
        labels=labels(new_run()),
        **confinement(),
    )
    try:
        # A stream of the log leaves its socket open, whoever closes it.
        until = time.monotonic() + ANSWER_LIMIT
        while b"listening" not in container.logs():
            assert time.monotonic() < until, container.logs()
            time.sleep(0.05)
        container.reload()
        yield container
    finally:
        container.remove(force=True, v=True)


def status(container: Container, path: str, headers: Mapping[str, str]) -> int:
    """The status of one request."""
    port = container.attrs["NetworkSettings"]["Ports"]["8000/tcp"][0]["HostPort"]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=ANSWER_LIMIT)
    try:
        headers = {"Content-Type": "application/json", **headers}
        connection.request("GET" if path.startswith("/lab/") else "POST", path, ASK, headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/v1/chat/completions", {}, 401),
        ("/v1/chat/completions", {"X-Lab-Secret": "another-secret-of-mine"}, 401),
        ("/v1/chat/completions", {"X-Lab-Secret": SECRET}, 200),
        ("/v1/chat/completions", {"Authorization": f"Bearer {SECRET}"}, 200),
        ("/lab/ledger/x", {}, 401),
        ("/lab/health", {}, 200),
    ],
    ids=["no-secret", "wrong", "right", "as-a-key", "no-ledger", "health"],
)
def test_the_image_obeys_its_owner_only(served: Container, path: str, headers: dict[str, str], code: int) -> None:
    """A request without the secret is refused on every address but the one for load balancers."""
    assert status(served, path, headers) == code


def test_the_image_runs_as_nobody(served: Container) -> None:
    """No user of the base, and no right to write where its code is."""
    assert "Uid:\t65532" in read(served, ["/proc/1/status"])
    assert served.exec_run(["touch", "/opt/token-stream-lab/code/x"]).exit_code != 0


def test_a_secret_that_cannot_be_used_stops_it(engine: docker.DockerClient, image: str) -> None:
    """It does not start open where a secret was meant; the message does not repeat it."""
    short = {"LAB_SECRET": "short"}
    with pytest.raises(docker.errors.ContainerError) as caught:
        engine.containers.run(image, environment=short, remove=True, labels=labels(new_run()), **confinement())
    assert caught.value.exit_status == 2
    assert b"16 characters or more" in caught.value.stderr
    assert b"short" not in caught.value.stderr
