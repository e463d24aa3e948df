"""The probe: opens an exchange, records every read with its time, and how the body ended.

What belongs here is the measuring client and its side channel to the model server; it draws no
conclusions. `exchange` is the ruler, `observe` brings back both ends of one exchange, and `answer`
(which is pure, and which the judge reads with as well) turns body bytes into events and tokens.
Below stand the wire formats and the plan.

This package's `__init__` imports nothing on purpose: the judge imports `lab.probe.body`, and must
not load an event loop with it.
"""
