"""What can be backed up: each source writes its parts, one after the other, into a pipe."""
