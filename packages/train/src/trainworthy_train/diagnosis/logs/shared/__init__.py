"""What the readers of log formats share; a file here is not a format."""
