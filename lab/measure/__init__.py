"""The one operation: makes the requests of a suite on a target and says which requirement is met."""
