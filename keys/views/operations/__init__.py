"""Pages of the platform's operations: what waits for a platform admin, and what to do about it."""
