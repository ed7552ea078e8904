# One page with everything, which opens without a network. (`snakemake --report` makes Snakemake's
# own report of a finished call, with the captions in workflow/report/.)


report: "../report/workflow.rst"


localrules:
    write_report,


rule write_report:
    input:
        figures=figure_files(),
        tables=table_files(),
        claims=claim_files(),
        groups=group_files(),
        methods=ancient(f"{RESULTS}/extra_methods.yaml"),
        code=ANALYSIS_CODE,
    output:
        report_files(),
    log:
        f"{RESULTS}/logs/write_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **LIGHT_RESOURCES,
    params:
        options=f"{PLAN_OPTIONS} {PAPER_OPTIONS} --figures {FIGURES}",
    shell:
        "wiregrad report {params.options} --methods {input.methods:q} > {log:q} 2>&1"
