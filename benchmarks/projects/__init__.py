"""The projects that are measured: run as files by Fairway, by a peer, or by Python alone."""
