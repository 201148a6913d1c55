"""Trains object detectors on certified datasets only, and names the pattern of any training curve."""

__version__ = "0.1.0"
