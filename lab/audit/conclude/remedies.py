"""What to change, for a problem and the products that were recognised.

The lines are read from the configurations that the lab ships and tests (`lab.products.remedies`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.products.remedies import verified_remedy
from lab.vocabulary import Trouble

_GENERAL: Mapping[Trouble, str] = {
    Trouble.HOLDING: "Turn response buffering and compression off for this route on {where}.",
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
    if quoted and trouble is not Trouble.DEATH:
        return " ".join(quoted)
    general = _GENERAL[trouble].format(where=culprit or "every hop")
    hint = verified_remedy(guess, trouble) if guess else ""
    parts = [general, *quoted, f"If it is {hint}" if hint else "", _FIND if find and not culprit else ""]
    return " ".join(part for part in parts if part)
