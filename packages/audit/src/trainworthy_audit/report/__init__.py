"""The reports: one file per output, each turns an `Audit` into text and knows no rule by name."""
