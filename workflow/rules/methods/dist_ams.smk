use rule train as train_dist_ams with:
    wildcard_constraints:
        label=labels_of("dist_ams"),
