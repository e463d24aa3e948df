from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.testbed import config
from lab.testbed.config import Upstream

MODEL = Upstream("model", 8000)


def test_the_eight_names_are_replaced() -> None:
    """Port, one model server or two, whole or in parts, where the certificate is, and how often it was written."""
    text = "${PORT} ${MODEL} ${MODEL_HOST} ${MODEL_PORT} ${CERTIFICATE} ${MODEL_2} ${MODEL_2_PORT} ${EDITION}"
    filled = config.fill(text, 8001, Upstream("model", 8000, 8002), "/own/lab.pem", 3)
    assert filled == "8001 model:8000 model 8000 /own/lab.pem model:8002 8002 3"


@pytest.mark.parametrize(("text", "two"), [("${MODEL_2}", True), ("${MODEL_2_PORT}", True), ("${MODEL}", False)])
def test_a_configuration_may_ask_two_model_servers(tmp_path: Path, text: str, two: bool) -> None:
    """It does where it names the second."""
    (path := tmp_path / "nginx.conf").write_text(text)
    assert config.has_two_models(path) is two


def test_a_configuration_that_cannot_be_read_asks_no_second_one(tmp_path: Path) -> None:
    """What is wrong with the file, whoever reads it tells."""
    assert not config.has_two_models(tmp_path / "missing.conf")


@pytest.mark.parametrize("own", ["$host", "${host}", "$PORT", "%[var(txn.x)]", "${PORTS}", "%{+Q}r"])
def test_what_belongs_to_the_proxy_stays(own: str) -> None:
    """The proxy's own variables pass through untouched."""
    assert config.fill(own, 8001, MODEL) == own


def test_a_file_without_a_port_is_refused(tmp_path: Path) -> None:
    """A configuration that listens where it likes is bad input, and the message names the file."""
    path = tmp_path / "nginx.conf"
    path.write_text("listen 80;")
    with pytest.raises(BadInput, match=r"nginx\.conf has no \$\{PORT\}"):
        config.read_template(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file and a file that is no text are bad input."""
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"\xff\xfe${PORT}")
    for path in (tmp_path / "missing.conf", binary):
        with pytest.raises(BadInput, match=path.name):
            config.read_template(path)


def test_the_other_files_of_the_folder_come_along(tmp_path: Path) -> None:
    """Certificates and included files beside a configuration are copied with it, folders are not."""
    for name in ("a.conf", "cert.pem"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    assert config.companions(tmp_path / "a.conf") == [tmp_path / "cert.pem"]


def test_a_whole_home_folder_does_not_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that lies among large files is refused, not copied with all of them."""
    monkeypatch.setattr(config, "COMPANIONS_LIMIT", 3)
    (tmp_path / "large").write_text("four")
    with pytest.raises(BadInput, match="folder of its own"):
        config.companions(tmp_path / "a.conf")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("listen 127.0.0.1:${PORT};\nproxy_pass http://127.0.0.1:1;", ["1: listen 127.0.0.1:${PORT};"]),
        ("# localhost\n\n  bind [::1]:${PORT}", ["3: bind [::1]:${PORT}"]),
        ("a: 127.0.0.1\nport_value: ${PORT}\nb: localhost", ["1: a: 127.0.0.1", "3: b: localhost"]),
        ("listen ${PORT}; # fe80::1", []),
    ],
)
def test_lines_with_a_loopback_address_are_told_by_number(tmp_path: Path, text: str, told: list[str]) -> None:
    """Those that also name the port, if there are any; comments and other addresses are none."""
    path = tmp_path / "a.conf"
    path.write_text(text)
    assert config.loopback_lines(path).splitlines() == [f"  {path}:{line}" for line in told]
