"""Training runs that were made to go wrong on purpose: see docs/caused-curves.md."""
