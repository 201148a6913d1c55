"""What several rules ask of the evidence; rules do not know one another."""
