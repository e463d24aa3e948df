"""HAProxy: two releases with long-term support whose defaults hold each token for a moment.

No master process (`-W`): nothing here reloads, and one process a configuration starts faster.
"""

from __future__ import annotations

from lab.products._product import Product


def _serve(path: str) -> list[str]:
    return ["haproxy", "-db", "-f", path]


def _check(path: str) -> list[str]:
    return ["haproxy", "-c", "-q", "-f", path]


PRODUCT = Product(
    name="haproxy",
    suffix=".cfg",
    releases=("3.0", "3.2"),
    command=_serve,
    check_command=_check,
    version_command=("haproxy", "-v"),
    version_pattern=r"HAProxy version (\d+\.\d+\.\d+)",
    # For `user`, `group` and `chroot`, which distributions write into its configuration.
    capabilities=("SETGID", "SETUID", "SYS_CHROOT"),
    writable=("/var/lib/haproxy",),
)
