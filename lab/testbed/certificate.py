"""The certificate with which targets speak TLS, and what makes the lab's clients trust it.

Authority and key are made anew by every process of the lab that needs them, and stand in the folders of its targets
only: nothing outside the testbed is to trust them.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import cache

import trustme

FILE = "token-stream-lab.pem"
"""What it is called in the folder of a target."""

_NAME = "token-stream-lab.invalid"


@dataclass(frozen=True)
class Certificate:
    """One certificate, for every target.

    Attributes:
        pem: its key, itself, and what it was signed with: one file, as every product reads it.
        client: for a client that trusts it, whatever address it is found at; which versions it offers is the probe's
            business, connection by connection.
        plain: the same, for one that speaks HTTP/1.1 and nothing else.
    """

    pem: bytes = field(repr=False)
    client: ssl.SSLContext
    plain: ssl.SSLContext


@cache
def trusting_any() -> ssl.SSLContext:
    """For a client of a configuration that names a certificate of its own; who signed it is not what is measured."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@cache
def certificate() -> Certificate:
    """This process's own; the first call takes some milliseconds."""
    authority = trustme.CA()
    issued = authority.issue_cert(_NAME)
    roots = authority.cert_pem.bytes().decode("ascii")
    client, plain = (ssl.create_default_context(cadata=roots) for _ in range(2))
    # A target is known by an address that it has only once it runs.
    client.check_hostname = plain.check_hostname = False
    plain.set_alpn_protocols(["http/1.1"])
    return Certificate(issued.private_key_and_cert_chain_pem.bytes(), client, plain)
