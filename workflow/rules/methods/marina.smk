use rule train as train_marina with:
    wildcard_constraints:
        label=labels_of("marina"),
