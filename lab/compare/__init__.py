"""Stream or batch: the same generations asked for both ways over one path, and what follows from it."""
