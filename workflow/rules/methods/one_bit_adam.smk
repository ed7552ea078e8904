use rule train as train_one_bit_adam with:
    wildcard_constraints:
        label=labels_of("one_bit_adam"),
