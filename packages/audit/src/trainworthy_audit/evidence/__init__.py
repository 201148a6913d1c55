"""What several rules need of the evidence, since rules do not import one another."""
