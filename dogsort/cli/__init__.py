"""The command line: arguments -> calls; the only room that prints or exits."""
