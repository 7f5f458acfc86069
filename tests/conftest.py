"""What all tests share."""

from hypothesis import settings

# The first call of a kernel compiles it, which no deadline of hypothesis foresees.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")
