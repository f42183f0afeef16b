"""What goes into a network: rows, their scaling."""
