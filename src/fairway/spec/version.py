"""The version of this Fairway, for every floor."""

VERSION = "0.1.0"
