"""Trained weights in use: predictions and exports."""
