"""The model server: a fake that emits tokens by a plan, and keeps a ledger of what it did.

`plan` (what to do), `schedule` and `faults` (when which bytes leave) are pure: the judge and the catalogue import them,
so nothing here imports asyncio or aiohttp for them.
`reply` writes a schedule to a connection, `background` generates without one, `ledger` remembers, and `server` joins
them to HTTP. `connections`, `guard` and `bodies` stand before it, and bound what a client can take;
`python -m lab.model` serves, with nothing installed but aiohttp, uvloop and pydantic.
"""
