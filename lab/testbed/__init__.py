"""Where targets run: the testbed and its two runners, with containers and with processes of this machine.

What belongs here is generic: it knows configurations, ports, logs and processes, and nothing of
tokens, scenarios or verdicts. What belongs below: `lab.products`, which says what to run. Every error
of the engine is translated in one place (`_faults`), every tool is run in one place (`_commands`),
everything that is put on the machine carries a label or a name that says whose it is (`_owner`), and whoever needs
targets up begins at one place (`supply.started`).
"""
