# One report per data set: which source it came from, or why it is not available. Runs that need a
# missing data set are "not run: no data"; nothing fails.


localrules:
    fetch_data,


rule fetch_data:
    input:
        # A new mirror (params) or a changed catalogue is worth another try.
        catalogue=CATALOGUE,
    output:
        f"{RESULTS}/data/{{data}}.json",
    log:
        f"{RESULTS}/logs/fetch_data/{{data}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_data/{{data}}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=60,
    params:
        data=lambda wildcards: wildcards.data.replace("+", "|"),
        mirror=os.environ.get("WIREGRAD_MIRROR", ""),
    shell:
        "wiregrad data fetch {params.data:q} --report {output:q} > {log:q} 2>&1"
