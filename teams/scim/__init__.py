"""SCIM 2.0, under /scim/v2/: a directory keeps people and groups here. Rules are in teams/services/directory.py."""
