"""The command line. Data goes to standard output, the story to standard error."""
