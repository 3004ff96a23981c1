"""The errors that arise when JSON is read that anybody may have written."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors of msgspec for text that is no JSON, has another type, is not UTF-8, or is nested too deeply."""
