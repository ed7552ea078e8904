use rule train as train_three_pc with:
    wildcard_constraints:
        label=labels_of("three_pc"),
