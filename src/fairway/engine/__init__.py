"""Loads state, asks `plan` what to do, carries it out through the ports and records what happened."""
