"""SQLite files: traces and the columns that candidates are kept in."""
