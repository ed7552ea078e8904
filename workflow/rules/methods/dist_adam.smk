use rule train as train_dist_adam with:
    wildcard_constraints:
        label=labels_of("dist_adam"),
