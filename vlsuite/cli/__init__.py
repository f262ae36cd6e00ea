"""The command line: parse, delegate, report errors in one line."""
