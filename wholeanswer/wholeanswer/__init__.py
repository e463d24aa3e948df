"""Whole answers, and halves that say so: `wholeanswer.consume` is what an application calls.

It is `lab.consume` of Token Stream Lab with the wire formats, and nothing else: no dependency, and no package called
`lab`, a name that another distribution has.
"""
