# One job sweeps one label of one experiment: every step, k and zeta of its grid, many runs at a
# time. The runs that are drawn are then trained at the point that won (train.smk). Finished
# batches lie beside the outputs: an interrupted sweep goes on.


rule sweep:
    input:
        data=data_reports,
        methods=ancient(f"{RESULTS}/extra_methods.yaml"),
    output:
        rows=f"{RESULTS}/{{paper}}/{{experiment}}/{{label}}/sweep.parquet",
        best=f"{RESULTS}/{{paper}}/{{experiment}}/{{label}}/sweep.json",
    log:
        f"{RESULTS}/logs/sweep/{{paper}}/{{experiment}}/{{label}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sweep/{{paper}}/{{experiment}}/{{label}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **JOB_RESOURCES,
    params:
        plan=planned_runs,
        code=method_code,
        options=PLAN_OPTIONS,
    shell:
        "wiregrad sweep {params.options} --methods {input.methods:q}"
        " --paper {wildcards.paper} --experiment {wildcards.experiment} --label {wildcards.label}"
        " > {log:q} 2>&1"
