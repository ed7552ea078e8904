use rule train as train_bidirectional with:
    wildcard_constraints:
        label=labels_of("bidirectional"),
