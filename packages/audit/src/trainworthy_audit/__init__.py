"""trainworthy-audit: is this object-detection dataset worth training on? See `audit.audit`."""

__version__ = "0.1.0"
