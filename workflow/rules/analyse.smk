# Pictures, tables and verdicts are functions of the histories. They are cheap, and are made again
# whenever the histories, their description in config/papers/ or the code that makes them changed.


localrules:
    draw_figure,
    write_table,
    check_claims,


rule draw_figure:
    input:
        groups=figure_groups,
        methods=ancient(f"{RESULTS}/extra_methods.yaml"),
        code=ANALYSIS_CODE,
    output:
        svg=report(
            f"{FIGURES}/{{paper}}/{{figure}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{paper}",
            labels={"figure": "{figure}"},
        ),
        png=f"{FIGURES}/{{paper}}/{{figure}}.png",
    log:
        f"{RESULTS}/logs/draw_figure/{{paper}}/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_figure/{{paper}}/{{figure}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **LIGHT_RESOURCES,
    params:
        spec=figure_spec,
        style=method_styles,
        options=PLAN_OPTIONS,
    shell:
        "wiregrad figure {wildcards.paper} {wildcards.figure} {params.options}"
        " --methods {input.methods:q} --out {output.svg:q} > {log:q} 2>&1"


rule write_table:
    input:
        groups=table_groups,
        methods=ancient(f"{RESULTS}/extra_methods.yaml"),
        code=ANALYSIS_CODE,
    output:
        csv=report(
            f"{RESULTS}/tables/{{paper}}/{{table}}.csv",
            caption="../report/table.rst",
            category="Tables",
            subcategory="{paper}",
            labels={"table": "{table}"},
        ),
        md=f"{RESULTS}/tables/{{paper}}/{{table}}.md",
        tex=f"{RESULTS}/tables/{{paper}}/{{table}}.tex",
    log:
        f"{RESULTS}/logs/write_table/{{paper}}/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_table/{{paper}}/{{table}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **LIGHT_RESOURCES,
    params:
        spec=table_spec,
        style=method_styles,
        options=PLAN_OPTIONS,
    shell:
        "wiregrad tables {wildcards.paper} {wildcards.table} {params.options}"
        " --methods {input.methods:q} > {log:q} 2>&1"


rule check_claims:
    input:
        groups=group_files(),
        methods=ancient(f"{RESULTS}/extra_methods.yaml"),
        code=ANALYSIS_CODE,
    output:
        csv=report(f"{RESULTS}/claims.csv", caption="../report/claims.rst", category="Claims"),
        md=f"{RESULTS}/claims.md",
        json=f"{RESULTS}/claims.json",
    log:
        f"{RESULTS}/logs/check_claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_claims.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **LIGHT_RESOURCES,
    params:
        claims=[paper.claims for paper in plan().papers.values()],
        options=f"{PLAN_OPTIONS} {PAPER_OPTIONS}",
    shell:
        "wiregrad claims {params.options} --methods {input.methods:q} > {log:q} 2>&1"
