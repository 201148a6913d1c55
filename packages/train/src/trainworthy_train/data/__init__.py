"""From a certified dataset to batches."""
