"""The one operation: makes the exchanges of a suite on a target, and says which requirement is met.

`measure` does it for one target at an address. Whoever has many at once makes the exchanges of all first
(`lab.measure.exchanges`) and has them judged after (`lab.judge`), so that the judge's computing keeps nobody from
reading. What an unknown path's timeouts are, `lab.measure.run` finds out.
"""

from lab.measure.exchanges import Address, measure

__all__ = ["Address", "measure"]
