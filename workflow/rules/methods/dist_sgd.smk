use rule train as train_dist_sgd with:
    wildcard_constraints:
        label=labels_of("dist_sgd"),
