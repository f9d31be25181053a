"""The sandbox: LiteLLM simulated, for demos and tests, as a WSGI callable and as a requests adapter.

Written against LiteLLM 1.106.2; `tests/contract` runs the same tests against both.
"""

from .adapter import SandboxAdapter
from .app import Sandbox
from .models import DEFAULT_MODELS, Model

__all__ = ["DEFAULT_MODELS", "Model", "Sandbox", "SandboxAdapter"]
