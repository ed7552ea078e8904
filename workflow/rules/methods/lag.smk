use rule train as train_lag with:
    wildcard_constraints:
        label=labels_of("lag"),
