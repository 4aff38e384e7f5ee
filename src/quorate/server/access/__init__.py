"""Who may ask, how often, how much at a time, and in which order."""
