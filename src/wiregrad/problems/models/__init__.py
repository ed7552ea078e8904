"""Networks of the papers, without their data: modules from an input batch to logits."""
