from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BadInput, EnvironmentFault
from lab.products import PROXIES
from lab.testbed import images, versions
from lab.testbed.builders import PackageOfDebian, local_tag
from lab.testbed.images import MODEL, TABLE, How, ImageInUse

NGINX = TABLE["nginx-1.26"]


def test_every_proxy_has_an_image() -> None:
    """The table and the proxies name the same things, both ways."""
    assert set(TABLE) == {proxy.id for proxy in PROXIES.values()} | {MODEL}


@pytest.mark.parametrize("image", [each for each in TABLE.values() if each.reference], ids=lambda each: each.key)
def test_official_images_are_pinned(image: images.Image) -> None:
    """No image floats: each reference has a tag that begins with a number."""
    _, _, tag = image.reference.rpartition(":")
    assert tag.lstrip("v")[0].isdigit()


def test_a_product_without_an_official_image_is_built() -> None:
    """Then its own tag is the only name that it has in the engine, and no registry is asked for the empty one."""
    homemade = replace(NGINX, reference="")
    assert images.names(homemade, "registry.example.com") == (NGINX.tag,)


@pytest.mark.parametrize("key", [key for key in PROXIES if TABLE[key].reference])
def test_the_official_image_is_the_release_of_its_key(key: str) -> None:
    """The pinned tag belongs to the release that the proxy's id promises."""
    assert PROXIES[key].version.is_that_of(TABLE[key].reference.rpartition(":")[2].lstrip("v"))


def test_a_changed_recipe_is_another_image() -> None:
    """Whatever changes in a recipe changes the name of the local image."""
    recipe = PackageOfDebian("trixie", "nginx", "1.26")
    tags = {
        local_tag("nginx", "1.26", each)
        for each in (
            recipe,
            replace(recipe, suite="sid"),
            replace(recipe, package="nginx-light"),
        )
    }
    assert len(tags) == 3
    assert all(tag.startswith("token-stream-lab/nginx:1.26-") for tag in tags)


def test_an_official_image_comes_before_a_local_one() -> None:
    """Where several are present, the mirror's and the official one are used before ours."""
    digest = NGINX.pinned.removeprefix(NGINX.reference)
    assert images.names(NGINX, "here:5000") == (
        f"here:5000/library/nginx:1.26.3{digest}",
        f"here:5000/nginx:1.26.3{digest}",
        f"nginx:1.26.3{digest}",
        "here:5000/library/nginx:1.26.3",
        "here:5000/nginx:1.26.3",
        "nginx:1.26.3",
        NGINX.tag,
    )


def test_the_model_server_is_never_a_bare_python() -> None:
    """The official python is only the base of the model server's image."""
    assert images.names(TABLE[MODEL], None) == (TABLE[MODEL].tag,)


def test_an_unknown_key_is_bad_input() -> None:
    """A key that the table lacks is answered with those it has."""
    with pytest.raises(BadInput, match=r"nginx-1\.26"):
        images.ensure(["apache-2.4"], pytest.fail)


@pytest.mark.parametrize("output", ["nginx version: nginx/1.28.0", "no such file"])
def test_another_release_is_refused(output: str) -> None:
    """An image whose binary is not the promised release is not used, and the message says how to get rid of it."""
    with pytest.raises(EnvironmentFault, match="docker image rm x:1"):
        images.read_version("nginx-1.26", "x:1", output)


def test_versions_are_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was stored is read again; a broken store is an empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert versions.remembered() == {}
    versions.remember({"sha256:1": "nginx/1.26.3"})
    assert versions.remembered() == {"sha256:1": "nginx/1.26.3"}
    versions.cache_file().write_text("{")
    assert versions.remembered() == {}


@pytest.mark.engine
def test_a_second_run_does_nothing(images_in_use: Mapping[str, ImageInUse]) -> None:
    """With all images present, nothing is said, pulled or built."""
    again = images.ensure(TABLE, lambda line: pytest.fail(line))
    assert {image.how for image in again.values()} == {How.PRESENT}
    assert {key: image.version for key, image in again.items()} == {
        key: image.version for key, image in images_in_use.items()
    }
