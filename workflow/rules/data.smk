# One report for each data set: where it was had, or why it was not. A set that cannot be had makes
# the runs that need it "not run: no data", and fails nothing.


localrules:
    fetch_data,


rule fetch_data:
    input:
        # A mirror that appears, or a changed catalogue, is worth another try.
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
