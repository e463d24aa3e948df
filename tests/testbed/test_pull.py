from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator

import docker
import docker.errors
import pytest

from lab.testbed import _owner, builders, images
from lab.testbed._confined import confinement
from lab.testbed._pull import Registry, candidates
from lab.testbed.builders import Builder, PackageOfDebian
from lab.testbed.readiness import await_answer

REGISTRY = PackageOfDebian("trixie", "docker-registry", "2.8")
SERVE = (
    "printf 'version: 0.1\\nstorage: {filesystem: {rootdirectory: /tmp/registry}}\\n"
    'http: {addr: ":5000"}\\n\' > /tmp/registry.yml && exec docker-registry serve /tmp/registry.yml'
)


@pytest.mark.parametrize(
    ("reference", "registry", "expected"),
    [
        ("nginx:1.26.3", None, ("nginx:1.26.3",)),
        ("nginx:1.26.3", "", ("nginx:1.26.3",)),
        ("nginx:1.26.3", "here:5000", ("here:5000/library/nginx:1.26.3", "here:5000/nginx:1.26.3")),
        ("envoyproxy/envoy:v1", "here/hub/", ("here/hub/envoyproxy/envoy:v1",)),
    ],
)
def test_a_mirror_changes_where_images_come_from(
    reference: str, registry: str | None, expected: tuple[str, ...]
) -> None:
    """Official images are asked for at the mirror, in both ways that mirrors name them."""
    assert candidates(reference, registry) == expected


class FakeApi:
    """Answers each pull with what was planned for it, and counts them."""

    def __init__(self, answer: Exception | list[dict[str, str]]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def pull(self, repository: str, stream: bool, decode: bool) -> Iterator[dict[str, str]]:
        """As in docker-py."""
        assert stream
        assert decode
        self.asked.append(repository)
        if isinstance(self.answer, Exception):
            raise self.answer
        return iter(self.answer)


class FakeClient:
    """A docker-py client that can only pull."""

    def __init__(self, answer: Exception | list[dict[str, str]]) -> None:
        self.api = FakeApi(answer)


def registry_of(client: FakeClient) -> Registry:
    """A registry behind a fake client."""
    return Registry(client)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [
        docker.errors.APIError("500", explanation="dial tcp: no such host"),
        [{"status": "Pulling"}, {"error": "toomanyrequests"}],
        ConnectionResetError("gone"),
    ],
    ids=["no network", "rate limit", "engine gone"],
)
def test_a_registry_that_refuses_is_asked_once(answer: Exception | list[dict[str, str]]) -> None:
    """After one refusal nothing more is pulled in this run, and the reason is kept."""
    client = FakeClient(answer)
    registry = registry_of(client)
    assert registry.pull("nginx:1") is None
    assert registry.pull("haproxy:3") is None
    assert client.api.asked == ["nginx:1"]
    assert registry.refusal


def test_a_missing_image_says_nothing_of_the_others() -> None:
    """A registry that lacks one image is asked for the next."""
    client = FakeClient(docker.errors.NotFound("manifest unknown"))
    registry = registry_of(client)
    assert registry.pull("nginx:1") is None
    assert registry.pull("haproxy:3") is None
    assert client.api.asked == ["nginx:1", "haproxy:3"]


@pytest.fixture
def registry_port(engine: docker.DockerClient) -> Iterator[int]:
    """A real registry on a free loopback port."""
    tag = builders.local_tag("registry", "2.8", REGISTRY)
    if not engine.images.list(name=tag):
        said: list[str] = []
        Builder(engine, said.append).build(REGISTRY, tag)
    container = engine.containers.run(
        tag,
        ["-c", SERVE],
        entrypoint=["/bin/sh"],
        detach=True,
        ports={"5000/tcp": ("127.0.0.1", 0)},
        labels=_owner.labels("registry-test"),
        **confinement(),
    )
    try:
        container.reload()
        port = int(container.attrs["NetworkSettings"]["Ports"]["5000/tcp"][0]["HostPort"])
        assert asyncio.run(await_answer(("127.0.0.1", port), asyncio.Event(), 60))
        yield port
    finally:
        container.remove(force=True, v=True)


@pytest.mark.engine
def test_an_image_is_pulled_from_a_mirror(
    engine: docker.DockerClient, registry_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a mirror has is pulled from it, by its digest where one is named; what it lacks is known to be lacking."""
    name = f"127.0.0.1:{registry_port}/library/tiny"
    pack = io.BytesIO()
    with tarfile.open(fileobj=pack, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    engine.api.import_image_from_data(pack.getvalue(), repository=name, tag="1")
    pushed = list(engine.api.push(name, tag="1", stream=True, decode=True))
    assert [event for event in pushed if "error" in event] == []
    (digest,) = [event["aux"]["Digest"] for event in pushed if "aux" in event]
    pinned = f"{name}:1@{digest}"
    engine.images.remove(f"{name}:1")
    monkeypatch.setenv("LAB_IMAGE_REGISTRY", f"127.0.0.1:{registry_port}")
    registry = Registry(engine)
    try:
        assert registry.pull("tiny:2") is None
        assert registry.refusal is None
        assert registry.pull("tiny:1") == f"{name}:1"
        engine.images.remove(f"{name}:1")
        assert registry.pull(f"tiny:1@{'sha256:' + '0' * 64}") is None
        assert registry.pull(f"tiny:1@{digest}") == pinned
        image = images.Image("tiny-1", f"tiny:1@{digest}", REGISTRY)
        monkeypatch.setattr(images, "digest_of", lambda _: None)
        assert images._find(engine, image, registry.prefix) == pinned
    finally:
        engine.images.remove(f"{name}@{digest}", force=True)
