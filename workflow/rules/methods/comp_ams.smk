use rule train as train_comp_ams with:
    wildcard_constraints:
        label=labels_of("comp_ams"),
