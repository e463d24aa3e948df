"""Containers: the engine, the images, the network, and the processes of the proxies.

What belongs here is generic: it knows configurations, ports, logs and processes, and nothing of
tokens, scenarios or verdicts. What belongs below: `lab.products`, which says what to run. Every error
of the engine is translated in one place (`_faults`), every tool is run in one place (`_commands`),
and everything that is put on the machine carries a label that says whose it is (`_owner`).
"""
