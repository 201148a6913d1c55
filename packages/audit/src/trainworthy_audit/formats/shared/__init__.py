"""What the readers of dataset formats share, and the parts of the larger readers. Nothing here is a format itself."""
