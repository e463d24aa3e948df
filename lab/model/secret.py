"""The shared secret: a model server on a public address obeys only its owner.

It comes from a file or from the variable `LAB_SECRET`, never from the command line, where every user of the machine
could read it. A request carries it in `X-Lab-Secret`; or, since gateways may drop headers that they do not know, as
the key that every client can send: `Authorization: Bearer ...` or `x-api-key`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path

from lab.files import read_whole

SECRET_HEADER = "X-Lab-Secret"
SECRET_VARIABLE = "LAB_SECRET"

SHORTEST = 16
"""Characters; a shorter one could be guessed by asking."""

_LONGEST = 4096


class SecretError(ValueError):
    """A secret that cannot be used; the message never repeats it."""


def read_secret(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The secret of the file, else of the variable; None where neither is given.

    Raises:
        SecretError: names the file or the variable, and what is wrong with it.
    """
    if file is not None:
        try:
            raw = read_whole(file, _LONGEST, handed_over=True)
        except OSError as error:
            raise SecretError(f"{file}: {error.strerror}") from None
        return _checked(raw.decode("latin-1"), str(file))
    value = environment.get(SECRET_VARIABLE)
    return None if value is None else _checked(value, SECRET_VARIABLE)


def _checked(value: str, source: str) -> str:
    value = value.strip()
    if len(value) > _LONGEST or not value.isascii() or not value.isprintable() or " " in value:
        raise SecretError(f"{source}: a secret is one word of printable ASCII")
    if len(value) < SHORTEST:
        raise SecretError(f"{source}: a secret has {SHORTEST} characters or more")
    return value


def carries(headers: Mapping[str, str], secret: str) -> bool:
    """Whether a request's headers carry the secret; takes as long for a wrong one as for one nearly right."""
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    offered = (
        headers.get(SECRET_HEADER, ""),
        bearer.strip() if scheme.lower() == "bearer" else "",
        headers.get("x-api-key", ""),
    )
    wanted = secret.encode()
    return any(hmac.compare_digest(each.encode("utf-8", "surrogateescape"), wanted) for each in offered)
