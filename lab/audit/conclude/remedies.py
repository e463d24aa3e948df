"""What to change, for a problem and the products that were recognised.

The lines are read from the configurations that the lab ships and tests (`lab.products.remedies`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.products.remedies import verified_remedy
from lab.vocabulary import Trouble

_GENERAL: Mapping[Trouble, str] = {
    Trouble.HOLDING: "Turn response buffering and compression off for this route on {where}.",
    Trouble.COMPRESSION: (
        "Turn compression of event streams off on {where}, or have it flush after each event. Where the application "
        "compresses itself, do it there: leave event streams out of its middleware (Starlette's flushes each piece "
        "since 1.5, Django's can be left off a view), set compress: false in Next, and in Express filter event streams "
        "out of compression or call res.flush() after each event."
    ),
    Trouble.TIMEOUT: (
        "Raise every timeout on this route above the longest answer and the longest silence on {where}, or send "
        "heartbeats where an idle timeout cannot be raised."
    ),
    Trouble.HIDDEN_CUT: (
        "Have {where} ask the next with HTTP/1.1 or HTTP/2 and the model server send chunks, so that a cut shows; "
        "until then treat an answer without its terminal marker as partial."
    ),
    Trouble.GOES_ON: "Let {where} close its connection to the model server as soon as its client has gone.",
    Trouble.DEATH: (
        "Look into the logs of {where} and of the model server for this moment: one of them closed the connection. "
        "If it is a timeout, raise it above the longest answer and the longest silence."
    ),
    Trouble.FAULT: "It is no timeout's doing: look into the logs of {where} and of the model server for this moment.",
}
_SHOWN_IN: Mapping[Trouble, str] = {
    Trouble.HOLDING: "bursts",
    Trouble.COMPRESSION: "compression",
    Trouble.TIMEOUT: "total-timeout or silent-gap",
    Trouble.HIDDEN_CUT: "death-becomes-clean-end",
    Trouble.GOES_ON: "client-leaves",
    Trouble.DEATH: "model-dies",
}
"""The scenarios that show what is wrong and prove what mends it."""

_FIND = "Audit the hops one by one with --hop NAME=URL to find the one."


def remedy_for(
    trouble: Trouble,
    products: Sequence[str],
    *,
    culprit: str = "",
    find: bool = True,
    guess: str = "",
) -> str:
    """What to change, with the tested lines of each recognised product that has any.

    Args:
        trouble: what is wrong.
        products: titles of what the evidence names on that route.
        culprit: the hop that is to blame, where it is known.
        find: whether more hops could be named to find it.
        guess: a product that fits and that nothing names; its lines stand under an "if".
    """
    asked = Trouble.TIMEOUT if trouble is Trouble.DEATH else trouble
    quoted = [text for product in dict.fromkeys(products) if (text := verified_remedy(product, asked))]
    shown = f"Shown and mended by the scenario {_SHOWN_IN[trouble]} (scenarios/)." if trouble in _SHOWN_IN else ""
    if quoted and trouble is not Trouble.DEATH:
        return " ".join(filter(None, [*quoted, shown]))
    general = _GENERAL[trouble].format(where=culprit or "every hop")
    hint = verified_remedy(guess, trouble) if guess else ""
    parts = [general, *quoted, f"If it is {hint}" if hint else "", _FIND if find and not culprit else "", shown]
    return " ".join(part for part in parts if part)
