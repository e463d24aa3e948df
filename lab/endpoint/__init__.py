"""A user's address: keys, masking, one request, and when to stop."""
