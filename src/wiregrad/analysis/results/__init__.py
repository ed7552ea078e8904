"""Numbers taken from histories: values, intervals over seeds, comparisons, ranks and bounds."""
