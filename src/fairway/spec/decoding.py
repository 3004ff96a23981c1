"""The errors of reading JSON that anybody may have written."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors that msgspec raises for text that is no JSON or of another type, is not UTF-8, or is nested too deeply."""
