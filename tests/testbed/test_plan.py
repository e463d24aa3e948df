"""What is laid out for a target before it is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.products import PROXIES
from lab.testbed import _plan
from lab.testbed._plan import Target
from lab.testbed.certificate import FILE


@pytest.mark.parametrize(("over_tls", "secure"), [(None, True), (True, True), (False, False)])
def test_a_certificate_is_there_for_whichever_listener_wants_it(
    tmp_path: Path, over_tls: bool | None, secure: bool
) -> None:
    """It says how a target is asked, unless the listener that is asked speaks clear text beside one of TLS."""
    file = tmp_path / "nginx.conf"
    file.write_text("listen ${PORT}; listen 443 ssl; ssl_certificate ${CERTIFICATE};")
    target = Target("one", PROXIES["nginx-1.30"], file, over_tls=over_tls)
    assert target.secure is secure
    (pod,) = _plan.pods([target], "model")
    _plan.lay_out(tmp_path / "laid", pod)
    assert (tmp_path / "laid" / "targets" / pod.instances[0].slot / FILE).exists()


def test_files_in_the_products_language_are_filled_in_and_others_stay(tmp_path: Path) -> None:
    """An included file has names as the configuration has; a page or a key may have such words of its own."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "nginx.conf").write_text("listen ${PORT}; include ./locations.conf;")
    (folder / "locations.conf").write_bytes(b"# caf\xe9, ${EDITION}\r\nproxy_pass http://${MODEL_HOST};")
    (folder / "page.html").write_bytes(b"\xff ${PORT}\r\n")
    (pod,) = _plan.pods([Target("one", PROXIES["nginx-1.30"], folder / "nginx.conf")], "model")
    again = replace(pod, instances=(replace(pod.instances[0], edition=2),))
    for name, each in (("laid", pod), ("again", again)):
        _plan.lay_out(tmp_path / name, each)
        laid = tmp_path / name / "targets" / pod.instances[0].slot
        edition = each.instances[0].edition
        assert (laid / "locations.conf").read_bytes() == b"# caf\xe9, %d\r\nproxy_pass http://model;" % edition
        assert (laid / "page.html").read_bytes() == b"\xff ${PORT}\r\n"
