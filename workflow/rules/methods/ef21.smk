use rule train as train_ef21 with:
    wildcard_constraints:
        label=labels_of("ef21"),
