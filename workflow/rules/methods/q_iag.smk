use rule train as train_q_iag with:
    wildcard_constraints:
        label=labels_of("q_iag"),
