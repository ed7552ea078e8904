use rule train as train_cd_adam with:
    wildcard_constraints:
        label=labels_of("cd_adam"),
