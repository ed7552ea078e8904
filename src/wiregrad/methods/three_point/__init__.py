"""Three-point compressors (3PC, arXiv 2202.00998) and the methods that have one.

`mechanisms` defines the compressors, `constants` their A and B, `gradient_descent` the algorithm
that all these methods share; the other files hold the methods of further papers.
"""
