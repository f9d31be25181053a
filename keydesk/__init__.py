"""`keydesk`, the command line: a client of Keydesk's REST API, and no part of the portal."""
