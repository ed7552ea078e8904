"""Tables: one row a method, one column a quantity, written as CSV, Markdown and LaTeX."""
