"""What pages and their CSV files show of money, keys and gateways: sums of our own tables, never a call to a proxy.

Each figure has one function with a fixed number of queries, however many rows there are. USD, UTC days.
"""
