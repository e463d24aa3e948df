"""Images as files: what a cache of CI's brings back is what the lab looks for."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from lab.errors import BadInput, EnvironmentFault
from lab.testbed import kept
from lab.testbed.images import MODEL, TABLE, How, ImageInUse, keys_of, names
from lab.testbed.kept import ensure_kept, file_name

NGINX = TABLE["nginx-1.26"]


def test_a_product_takes_its_versions_and_the_model_server() -> None:
    """Nothing named is everything, and what is no product is refused."""
    assert keys_of(["nginx-1.26"]) == ["nginx-1.26", MODEL]
    assert keys_of(["nginx"]) == [*(key for key in TABLE if key.startswith("nginx-")), MODEL]
    assert keys_of([]) == list(TABLE)
    with pytest.raises(BadInput, match="squid"):
        keys_of(["nginx", "squid"])


def test_a_file_is_named_after_what_it_is_made_of() -> None:
    """One of another release, digest or recipe is not taken for it."""
    other = replace(NGINX, reference="nginx:1.26.2"), replace(NGINX, recipe=TABLE["nginx-1.30"].recipe)
    assert len({file_name(each) for each in (NGINX, *other)}) == 3
    assert file_name(NGINX).startswith("nginx-1.26-")


class Engine:
    """An engine that has one image, which it was given by digest or by tag, and saves a few bytes of it."""

    def __init__(self) -> None:
        self.images, self.tags, self.loaded = self, [""], list[bytes]()

    def get(self, _: str) -> Engine:
        """The image."""
        return self

    def tag(self, name: str) -> None:
        """Give it a name."""
        self.tags.append(name)

    def reload(self) -> None:
        """Nothing else changed it."""

    def save(self, *, named: str) -> list[bytes]:
        """Its bytes, which name it."""
        assert named in self.tags
        return [named.encode()]

    def load(self, file: Any) -> None:
        """Take bytes."""
        self.loaded.append(file.read())


@pytest.mark.parametrize(
    ("reference", "name"), [(NGINX.pinned, NGINX.reference), (NGINX.tag, NGINX.tag)], ids=["pulled", "built"]
)
def test_what_was_had_once_is_loaded_where_it_is_missing(
    reference: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a name by which the lab finds it; a file that is there is not written again."""
    engine: Any = Engine()
    had = {NGINX.key: ImageInUse(NGINX.key, reference, "sha256:1", How.PULLED, "1.26.3")}
    monkeypatch.setattr(kept, "ensure", lambda *_: had)
    monkeypatch.setattr(kept, "present", lambda *_: None)
    folder = tmp_path / "cache"
    assert ensure_kept(engine, [NGINX.key], folder, print) == had
    (file,) = folder.iterdir()
    assert file.read_text() == name
    assert name in names(NGINX, None)
    before = file.stat().st_mtime_ns
    ensure_kept(engine, [NGINX.key], folder, print)
    assert engine.loaded == [name.encode()]
    assert file.stat().st_mtime_ns == before
    monkeypatch.setattr(kept, "present", lambda *_: name)
    ensure_kept(engine, [NGINX.key], folder, print)
    assert len(engine.loaded) == 1


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the folder and the option."""
    monkeypatch.setattr(kept, "ensure", lambda *_: {})
    (tmp_path / "file").touch()
    engine: Any = Engine()
    with pytest.raises(EnvironmentFault, match="--keep"):
        ensure_kept(engine, [], tmp_path / "file", print)


@pytest.mark.grid
@pytest.mark.usefixtures("images_in_use")
def test_a_saved_image_has_its_name(engine: docker.DockerClient, tmp_path: Path) -> None:
    """In the file as the engine writes it, so that an engine without it has it by name."""
    ensure_kept(engine, [NGINX.key], tmp_path, print)
    with tarfile.open(tmp_path / file_name(NGINX)) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        (image,) = json.load(manifest)
    assert image["RepoTags"][0] in names(NGINX, None)
