"""What follows from the samples of a passive audit. Pure."""
