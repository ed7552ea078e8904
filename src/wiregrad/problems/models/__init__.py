"""The networks of the papers, without data: `torch.nn` modules from a batch to logits."""
