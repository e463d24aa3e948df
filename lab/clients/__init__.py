"""The client grid: what real clients tell their users about every ending of a stream."""
