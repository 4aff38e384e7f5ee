"""Several forms of one answer."""
