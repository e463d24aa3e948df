"""Which requests settle which requirement. Pure."""
