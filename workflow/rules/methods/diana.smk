use rule train as train_diana with:
    wildcard_constraints:
        label=labels_of("diana"),
