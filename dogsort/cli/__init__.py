"""The command line: words -> calls; the only room that prints or exits."""
