"""A HAProxy file as in production, verified and mended where HAProxy runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.products import PROXIES
from lab.products.adapted import EntranceWish
from lab.products.haproxy.adapt import adapt
from lab.suite.settle import Waits
from lab.testbed.supply import FromEngine
from lab.verify.rounds import UserFile
from lab.verify.search import Verified, verify
from lab.vocabulary import Requirement, State

FILE = """\
global
    chroot /var/lib/haproxy
    user haproxy
    daemon
    maxconn 500000

defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    option http-no-delay

frontend plain
    bind *:80
    http-request redirect scheme https

frontend edge
    bind *:443 ssl crt /etc/haproxy/site.pem alpn h2,http/1.1
    use_backend inside if { path_beg /v1/ }

backend inside
    server inner unix@/run/inner.sock

frontend inner
    bind unix@/run/inner.sock
    default_backend model

backend model
    timeout server 2s
    server gpu gpu.internal:8000 check
"""

SILENCES = {
    Requirement.WAITS_FOR_THE_FIRST_TOKEN,
    Requirement.SURVIVES_SILENCE,
    Requirement.WAITS_FOR_BATCH_REPLIES,
}
"""What `timeout server` watches, by HAProxy's manual: each wait for the server's next byte."""


async def found_in(path: Path) -> Verified:
    """What is found of the file's one entrance, with a fix."""
    subject = UserFile(path, PROXIES["haproxy-3.2"], adapt(path, EntranceWish()))
    (found,) = await verify(subject, Waits(), FromEngine("an engine"), print, mend=True)
    return found


@pytest.mark.grid
@pytest.mark.engine
async def test_a_file_of_two_tiers_is_verified_and_mended(tmp_path: Path) -> None:
    """The inner tier's timeout is what cuts, by its line; with the fix in the user's own file everything is met."""
    path = tmp_path / "haproxy.cfg"
    path.write_text(FILE)
    found = await found_in(path)
    assert {each.requirement for each in found.failed} >= SILENCES
    for requirement in SILENCES:
        assert [str(each.spot) for each in found.causes[requirement]] == [f"{path}:30: timeout server 2s"]
    assert found.whole
    assert "timeout server 600s" in found.fix
    for file, text in adapt(path, EntranceWish()).edit(found.entrance, found.fix).items():
        file.write_text(text)
    assert path.read_text().count("timeout server 600s") == 1
    mended = await found_in(path)
    assert mended.failed == []
    assert {each.state for each in mended.observations.values()} == {State.MET}
