"""What all tests share."""

from hypothesis import settings

# A property holds on a busy machine too: no test asserts a time, and hypothesis would.
settings.register_profile("on any machine", deadline=None)
settings.load_profile("on any machine")
