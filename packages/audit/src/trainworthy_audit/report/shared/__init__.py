"""What several reports are made of, and the pages that are about more than one audit."""
