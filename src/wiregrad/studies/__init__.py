"""What is to be run, and running a group of it: plan, tuning, sweeps, preflight."""
