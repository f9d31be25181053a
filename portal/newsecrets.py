"""`make secrets`: a new value of each secret that hosts must share. Needs no settings, writes nothing."""

import secrets

from cryptography.fernet import Fernet

if __name__ == "__main__":
    print(f"KEYDESK_SECRET_KEY={secrets.token_urlsafe(50)}")  # noqa: T201
    print(f"KEYDESK_ENCRYPTION_KEYS={Fernet.generate_key().decode()}")  # noqa: T201
