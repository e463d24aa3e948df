"""`lab verify` and `lab fix`: a user's own file under every requirement, what in it breaks which, and what mends it.

A loop over `lab.measure`: the file as it is, then the file with one setting otherwise, all at once. What mends is found
by measurement alone: no table says which directive does what, only which are worth a try.
"""
