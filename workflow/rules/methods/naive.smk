use rule train as train_naive with:
    wildcard_constraints:
        label=labels_of("naive"),
