"""Write the method labels of a workflow call: config/methods.yaml and what method rules added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from wiregrad.fsio import write_text

if TYPE_CHECKING:
    snakemake: Any

write_text(snakemake.output[0], yaml.safe_dump(snakemake.params.methods, sort_keys=False))
