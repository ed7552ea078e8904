use rule train as train_ef_sgd with:
    wildcard_constraints:
        label=labels_of("ef_sgd"),
