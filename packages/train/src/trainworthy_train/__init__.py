"""Trains object detectors on certified datasets only, and names the pattern of any training curve."""

from trainworthy_audit import __version__ as __version__
