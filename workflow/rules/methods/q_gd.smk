use rule train as train_q_gd with:
    wildcard_constraints:
        label=labels_of("q_gd"),
