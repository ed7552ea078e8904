use rule train as train_qadam with:
    wildcard_constraints:
        label=labels_of("qadam"),
