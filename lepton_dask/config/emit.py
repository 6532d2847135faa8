"""Values to YAML text."""

from __future__ import annotations

import io

from ruamel.yaml import YAML

from lepton_dask.config.nodes import Data


def to_yaml(data: Data) -> str:
    """YAML text, in block style, that `compose` reads back as the same values."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 10_000
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()
