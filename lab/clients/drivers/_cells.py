"""What every Python driver does: cells come on stdin as one JSON list, a JSON line for each goes out.

A cell has `id`, `client`, `base`, `plan`, `request` and `timeout` (seconds of silence that the client bears).
Imports nothing of the lab, since it runs in the environment of the client.
"""

# Runs where other packages are installed than the lab's, so types cannot be checked.
# mypy: ignore-errors
# ruff: noqa: T201

import importlib
import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed

AT_ONCE = 8


class Received:
    """What the user's code has seen: the text, the finish reason, and a verdict where the client gives one."""

    def __init__(self):
        self.text = []
        self.finish = None
        self.answer = ""


def headers(cell):
    """The lab's request headers."""
    return {"X-Lab-Plan": cell["plan"], "X-Lab-Request": cell["request"]}


def consumed(answer, seen):
    """Note an answer of `lab.consume`."""
    seen.answer = type(answer).__name__.lower()
    seen.text.append(getattr(answer, "text", ""))
    reason = getattr(answer, "reason", None)
    seen.finish = None if reason is None else str(reason)


def error_chain(error):
    """The names of an exception and of what caused it, outermost first."""
    names = []
    while error is not None and len(names) < 8:
        names.append(f"{type(error).__module__.split('.')[0]}.{type(error).__name__}")
        error = error.__cause__ or error.__context__
    return names


def _measure(cell, ask):
    seen, error, message = Received(), [], ""
    try:
        ask(cell, seen)
    except ImportError:
        # The environment lacks the client: no finding about it, so the driver ends and says so.
        raise
    except Exception as failure:
        error, message = error_chain(failure), str(failure)[:200]
    return {
        "id": cell["id"],
        "text": "".join(seen.text),
        "finish": seen.finish,
        "answer": seen.answer,
        "unending": False,
        "message": message,
        "error": error,
        "late": [],
    }


def main(clients, modules):
    """Measure every cell with the function that `clients` has under its client's name.

    Those of `modules` that are installed are imported first: threads that import one at once can meet it half-made.
    """
    for name in modules:
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    cells = json.load(sys.stdin)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in as_completed([pool.submit(_measure, cell, clients[cell["client"]]) for cell in cells]):
            print(json.dumps(done.result()), flush=True)
