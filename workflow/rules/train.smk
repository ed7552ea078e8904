# One job trains one group, that is all runs of one method label in one experiment, so that torch and
# the data are loaded once. Its tuning or sweep, if any, comes first in the same job. Runs write
# checkpoints beside the declared output. Snakemake removes only that output when a job fails, so the
# next call resumes where this one stopped.


localrules:
    write_methods,


# The labels that rule files registered, for the commands outside this process (JSON is YAML).
rule write_methods:
    output:
        f"{RESULTS}/extra_methods.yaml",
    log:
        f"{RESULTS}/logs/write_methods.log",
    conda:
        ENVIRONMENT
    params:
        methods=lambda wildcards: json.dumps(EXTRA_METHODS),
    shell:
        "printf '%s\\n' {params.methods:q} > {output:q} 2> {log:q}"


# Abstract: it matches no label. Every method has its own rule (methods/), which inherits from this
# one and says which labels it trains.
rule train:
    input:
        data=data_reports,
        methods=ancient(f"{RESULTS}/extra_methods.yaml"),
    output:
        f"{RESULTS}/{{paper}}/{{experiment}}/{{label}}/group.json",
    log:
        f"{RESULTS}/logs/train/{{paper}}/{{experiment}}/{{label}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{paper}}/{{experiment}}/{{label}}.tsv"
    wildcard_constraints:
        label=NOTHING,
    conda:
        ENVIRONMENT
    threads: threads_of
    resources:
        **JOB_RESOURCES,
    params:
        plan=planned_runs,
        code=method_code,
        options=JOB_OPTIONS,
        report=lambda wildcards, input: f"--data-report {input.data}" if input.data else "",
    shell:
        "wiregrad train {params.options} {params.report} --methods {input.methods:q}"
        " --paper {wildcards.paper} --experiment {wildcards.experiment} --label {wildcards.label}"
        " > {log:q} 2>&1"
