"""A diagnosis as JSON, as text for the terminal, and as a page."""
