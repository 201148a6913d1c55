"""What several detectors share; no file here is a detector."""
