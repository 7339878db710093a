"""Redis and Valkey: what a server is, what is wrong with it, and changing it with a way back."""
