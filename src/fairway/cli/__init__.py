"""The command line. It prints data to standard output and everything else to standard error."""
