"""Many streams at once, with Locust: how late each token is by the model server's own stamp, and what became of each.

`user` is for locustfiles: a stream as a Locust `User`. `locustfile` is what `lab load` runs, in processes of its own,
because Locust replaces the standard library's sockets; `run` starts these and reads what they found; `figures` is what
that is. Nothing else in the lab imports `user` or `locustfile`.
"""
