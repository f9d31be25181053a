"""Why a call was refused: read the pasted error, walk the chain of the key, name the one limit that binds."""

from keys.services.refused.places import Step
from keys.services.refused.reading import Cause, Reading, read
from keys.services.refused.walking import Answer, keys_meant, walk
from keys.services.refused.ways import Way, ways

__all__ = ["Answer", "Cause", "Reading", "Step", "Way", "keys_meant", "read", "walk", "ways"]
