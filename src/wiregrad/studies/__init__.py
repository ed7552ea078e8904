"""What config/ asks for, and executing it group by group: plan, tuning, sweeps, preflight.

May import runs and all below. `plan` and `files` import no torch.
"""
