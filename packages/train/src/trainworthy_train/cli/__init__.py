"""The commands that training adds to `trainworthy`, one file each."""
