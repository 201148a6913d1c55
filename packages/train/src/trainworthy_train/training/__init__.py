"""The training loop and what it is set up with."""
