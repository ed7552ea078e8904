use rule train as train_two_way with:
    wildcard_constraints:
        label=labels_of("two_way"),
