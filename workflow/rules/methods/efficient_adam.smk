use rule train as train_efficient_adam with:
    wildcard_constraints:
        label=labels_of("efficient_adam"),
