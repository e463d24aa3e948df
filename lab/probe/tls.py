"""TLS between the socket and a parser, in memory: ciphertext in, plaintext out.

The event loops' own TLS hides what the probe must tell. Measured: asyncio reports close_notify and a bare FIN, which is
a truncation, by the same two calls, and uvloop differs only in leaving one of them out. What waits in the socket of a
broken connection is ciphertext that nobody outside can decrypt any more. Here the socket stays a plain one, so that
its reads are exact, what is left in it can be read, and what they decrypt to has the time of the read.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from functools import cache

from lab.evidence import EndReason, HttpVersion

_OFFERED = {HttpVersion.HTTP_1_1: ["http/1.1"], HttpVersion.HTTP_2: ["h2", "http/1.1"]}
_READ_SIZE = 64 * 1024

# OpenSSL's codes for what a certificate is not verified for: `X509_V_ERR_...` of its x509_vfy.h.
_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 10, 62, 64
# OpenSSL's names for what it makes of bytes that are no record of TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")


class Tls:
    """The client's end of one TLS connection.

    `established` turns True with the end of the handshake, `finished` when the other side said that it closes
    (close_notify), and `trouble` says what is wrong with certificate, handshake or records, in words; `reason` says it
    for whoever has to act on it.

    Args:
        context: certificates and versions; its list of protocols is overwritten with what `http` offers.
        host: the name, or address, that the certificate must be for.
        http: the version to offer.
    """

    def __init__(self, context: ssl.SSLContext, host: str, http: HttpVersion) -> None:
        # The connection takes a copy of the list at once, so exchanges may share a context.
        context.set_alpn_protocols(_OFFERED[http])
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._in, self._out, server_hostname=host)
        self.established = False
        self.finished = False
        self.trouble = ""
        self.reason: EndReason | None = None

    @property
    def http(self) -> HttpVersion:
        """The version that was agreed; a server without ALPN speaks HTTP/1.1."""
        return HttpVersion.HTTP_2 if self._ssl.selected_alpn_protocol() == "h2" else HttpVersion.HTTP_1_1

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes from the socket; return what they decrypt to."""
        self._in.write(data)
        parts: list[bytes] = []
        try:
            if not self.established:
                self._ssl.do_handshake()
                self.established = True
            while part := self._ssl.read(_READ_SIZE):
                parts.append(part)
            self.finished = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.finished = True
        except ssl.SSLError as error:
            self.trouble, self.reason = words_of(error), reason_of(error)
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Encrypt; `to_send` has the result."""
        # A connection that has broken takes nothing more; why, `trouble` says.
        with suppress(ssl.SSLError):
            self._ssl.write(data)

    def to_send(self) -> bytes:
        """What is to go to the socket by now: handshake, alerts, and what was written."""
        return self._out.read()


def default_context() -> ssl.SSLContext:
    """Verifies against the system's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    # Loading the authorities takes tens of milliseconds, in which no read would get its right time.
    return ssl.create_default_context()


def words_of(error: ssl.SSLError) -> str:
    """What is wrong with certificate, handshake or records."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return (error.reason or str(error)).replace("_", " ").lower()


def reason_of(error: ssl.SSLError) -> EndReason | None:
    """What is known of a failure of TLS beyond its words; None where that is nothing."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            return EndReason.CERTIFICATE_EXPIRED
        other_name = error.verify_code in (_OTHER_HOST, _OTHER_ADDRESS)
        return EndReason.CERTIFICATE_NAME if other_name else EndReason.CERTIFICATE
    # Python has no names for what is younger than itself: then the same words stand in the message.
    name = (error.reason or str(error)).upper().replace(" ", "_")
    if any(known in name for known in _NO_TLS):
        return EndReason.NO_TLS
    if "NO_APPLICATION_PROTOCOL" in name:
        return EndReason.NO_COMMON_PROTOCOL
    if "CERTIFICATE_EXPIRED" in name:
        return EndReason.CERTIFICATE_EXPIRED
    return EndReason.CERTIFICATE if "CERTIFICATE" in name else None
