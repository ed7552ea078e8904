"""Write the labels that rule files registered, in the form of config/methods.yaml."""

from __future__ import annotations

import yaml
from snakemake.script import snakemake

from wiregrad.fsio import write_text

write_text(snakemake.output[0], yaml.safe_dump(snakemake.params.methods, sort_keys=False))
