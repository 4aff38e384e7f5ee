"""The server's page: its files, and how it works in a real browser."""
