"""The one operation: makes the exchanges of a suite on a target, and says which requirement is met.

`measure` does it for any number of targets at their addresses. Scenarios, which have further expectations, do the same
with its parts: `make` one exchange, have them judged together (`lab.judge`). What the timeouts of an unknown path are,
`lab.measure.run` finds out.
"""

from lab.measure.exchanges import Address
from lab.measure.many import measure

__all__ = ["Address", "measure"]
