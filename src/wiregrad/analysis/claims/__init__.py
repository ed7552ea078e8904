"""Claims of papers and the verdicts on them.

claim    A statement of a paper as its configuration has it: what is said and where, the check that
         tests it with its arguments and tolerance, and the budget that the paper spent.
check    A registered class that reads the results of one experiment and returns a finding.
finding  What a check found: a verdict, the effect with its interval over seeds, and the numbers
         behind it. It does not know the claim.
verdict  One of *reproduced*, *not reproduced*, *inconclusive*, *not tested at this scale*.
judged   A claim with the finding on it, after its budget and the scale were taken into account: one
         row of claims.csv.
"""
