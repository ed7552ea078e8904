use rule train as train_async_sgd with:
    wildcard_constraints:
        label=labels_of("async_sgd"),
