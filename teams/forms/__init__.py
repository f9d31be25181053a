"""Forms of teams and of people."""
