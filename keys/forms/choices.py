"""Values that radio buttons of several forms send."""

OTHER = "other"
ALL, SOME = "all", "some"
