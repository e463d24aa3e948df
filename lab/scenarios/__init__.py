"""The run: puts scenarios on the testbed, makes their exchanges, and writes down what came of them.

What belongs here is order and concurrency: all scenarios at once in one event loop, each able to fail
alone. Below stand the testbed, the probe, the model server's plan, the judge and the catalogue; nothing
here knows how a container is started or what a verdict means.
"""
