"""What a gateway's proxy itself has: models, model groups, credentials and users, so that nobody needs its master key.

Nothing of it stands in our tables: the proxy is asked each time. What it calls by a model's `api_base` is called from
where the proxy stands, with the proxy's rights; Keydesk calls none of it.
"""
