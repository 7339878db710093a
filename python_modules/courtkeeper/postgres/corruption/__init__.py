"""Reading every page of a database in parallel and in bounded time: what the group `corruption` does."""
