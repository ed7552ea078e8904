"""Constants of problems (`constants`), and the theorems: step sizes and bounds, one file a paper.

`steps` gives the step size of a configured method. Of the methods, the theory imports what they say
of themselves (`wiregrad.methods.premises`); `constants` and the files of problems import no method.
"""
