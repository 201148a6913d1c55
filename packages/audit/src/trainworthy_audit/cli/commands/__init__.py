"""The commands, one file each: `NAME.py` holds the click command NAME."""
