"""The engine: it loads state, asks `plan` what to do, carries that out through the ports and records what happened."""
