"""The active audit: the lab's own model server stands behind the path, so that there is ground truth.

`streams` says what is asked and `timeouts`, `effects` and `conclude` say what follows; they are pure. `run` measures,
and `text` prints. `findings` holds the plain records that all of them share.
"""
