"""The audit: what a path that is not the lab's does to a stream, measured from outside."""
