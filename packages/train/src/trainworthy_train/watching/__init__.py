"""Runs of any trainer while they go on: their log is followed, their command supervised, and both recorded as a run."""
