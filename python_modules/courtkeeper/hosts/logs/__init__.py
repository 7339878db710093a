"""Log files of a host: rotated by logrotate without a lost line, kept, archived, watched and cleaned."""
