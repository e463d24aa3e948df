"""What an audit says, on the terminal and as a page."""
