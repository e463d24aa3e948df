"""What is laid out for a target before it is started."""

from __future__ import annotations

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
