"""HTTP/2 and compression end to end: nginx speaks both before the model server, and the audit says what changes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from lab.endpoint.address import endpoint_of
from lab.measure.findings import ActiveFindings, Found, Holds, ModeFound
from lab.measure.target import AuditTarget
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Delivery, Watched

from . import proxies
from .auditing import audit_actively

pytestmark = pytest.mark.engine

LONGEST = 4.0
TIMEOUT = 2.4

Images = Mapping[str, ImageInUse]


async def audits(posts: list[Target], images: Images, authority: trustme.CA) -> list[ActiveFindings]:
    """Audit every post at once, over https."""
    async with Testbed(posts, Containers(images)) as testbed:

        async def audit(post: Target) -> ActiveFindings:
            url = testbed.url(post.key).replace("http:", "https:")
            endpoint = endpoint_of("path", f"{url}/v1/chat/completions", None)
            context = ssl.create_default_context()
            authority.configure_trust(context)
            # A container's address is not known before it has one, so the certificate cannot name it.
            context.check_hostname = False
            return await audit_actively(
                AuditTarget(endpoint, model_url=testbed.model_url, tls=context), longest=LONGEST
            )

        return await asyncio.gather(*(audit(post) for post in posts))


def ways(findings: ActiveFindings) -> dict[str, ModeFound]:
    """The ways of asking by name."""
    return {each.name: each for each in findings.modes}


async def test_what_http_2_and_compression_change_is_told(images_in_use: Images, tmp_path: Path) -> None:
    """A timeout for HTTP/2 alone, a compression that flushes, a path without HTTP/2: each is told as what it is."""
    authority = trustme.CA()
    pem = authority.issue_cert("lab.test").private_key_and_cert_chain_pem.bytes()
    posts = [
        proxies.nginx_tls(tmp_path, "timeout", pem, timeout=TIMEOUT),
        proxies.nginx_tls(tmp_path, "gzip", pem, timeout=60, gzip=True),
        proxies.nginx_tls(tmp_path, "no-http-2", pem, timeout=TIMEOUT, h2=False),
    ]
    by_timeout, by_gzip, without = await audits(posts, images_in_use, authority)

    over_2 = ways(by_timeout)["http-2"]
    assert (over_2.version, over_2.delivery) == ("2", Delivery.INCREMENTAL)
    assert over_2.changes is Holds.YES, over_2.change
    for words in ("before the first byte", "on silence amid a stream"):
        assert f"a timeout {words}, where HTTP/1.1 survives" in over_2.change, over_2.change
    assert "on the whole" not in over_2.change
    # The timeouts of the path are those that HTTP/1.1 meets.
    assert {each.found for each in by_timeout.timeouts} == {Found.NONE}
    assert {each.watched for each in by_timeout.timeouts} == set(Watched)

    squeezed, over_2 = ways(by_gzip)["gzip"], ways(by_gzip)["http-2"]
    told = (squeezed.coding, squeezed.delivery, squeezed.changes)
    assert told == ("gzip", Delivery.INCREMENTAL, Holds.NO), by_gzip.modes
    assert over_2.changes is Holds.NO, over_2.change
    assert "the same timeouts (first-byte, idle, total)" in over_2.change
    assert "a cut by FIN or RST is visible" in over_2.change

    assert ways(without)["http-2"].change == "the path does not speak HTTP/2: every reply came over HTTP/1.1"
