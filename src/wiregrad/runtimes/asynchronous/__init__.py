"""Workers on a simulated clock."""
