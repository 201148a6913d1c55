"""trainworthy-audit: is this object-detection dataset worth training on?"""

__version__ = "0.1.0"
