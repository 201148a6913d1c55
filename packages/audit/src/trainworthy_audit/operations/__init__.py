"""What follows an audit: operations that read datasets and write a new one, never touching what they read."""
