"""The command line. Nothing is imported here: a command is loaded when it runs."""
