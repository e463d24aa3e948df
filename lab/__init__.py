"""Token Stream Lab: what a proxy does to a stream of tokens, measured.

The packages form a line, and imports run down it only: the command line and the pytest plugin; the
run; judge and reports; testbed, model, probe, catalogue; proxies, wire, words.
"""
