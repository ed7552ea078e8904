use rule train as train_adacgd with:
    wildcard_constraints:
        label=labels_of("adacgd"),
