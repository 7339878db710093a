"""What makes a database slow, and what would make it faster: statements, indexes, settings."""
