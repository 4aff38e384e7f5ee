"""What the package does today, written down: one transcript a scenario, compared word by word."""
