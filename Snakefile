# Configuration, validation, includes and targets: nothing else.
from snakemake.utils import min_version, validate

min_version("9.5")


configfile: "config/config.yaml"


validate(config, "workflow/schemas/config.schema.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"


for method_file in method_files():

    include: method_file


check_methods()


include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    figures,
    tables,
    claims,
    report,


rule all:
    default_target: True
    input:
        figure_files(),
        table_files(),
        claim_files(),
        report_files(),


rule figures:
    input:
        figure_files(),


rule tables:
    input:
        table_files(),


rule claims:
    input:
        claim_files(),


rule report:
    input:
        report_files(),


for paper in PAPERS:

    rule:
        name:
            paper
        input:
            figure_files(paper),
            table_files(paper),
        localrule: True
