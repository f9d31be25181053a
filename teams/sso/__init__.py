"""How people come in: allauth's adapters with our rules.

`identities` holds the rules (who is this, may they come in, whom are they linked to), `provider` speaks with identity
providers by way of `calls`, and `adapters` is where allauth asks us.
"""

from teams.sso.adapters import AccountAdapter, SocialAccountAdapter

__all__ = ["AccountAdapter", "SocialAccountAdapter"]
