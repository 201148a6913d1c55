"""The reports: one file per output, each turns an `AuditResult` into text and knows no rule by name."""
