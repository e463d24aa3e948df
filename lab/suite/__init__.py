"""Which requests settle which requirement. Pure.

`lab.suite.settle` has those that settle each, `lab.suite.search` those that find a path's timeouts.
"""

REVISION = "2026-12"
"""Of the suite: raised when a requirement is added, or another request settles one, so that results compare."""
