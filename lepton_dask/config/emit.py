"""Values to YAML text."""

from __future__ import annotations

import io

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from lepton_dask.config.nodes import Data


class _Representer(SafeRepresenter):  # type: ignore[misc]  # ruamel has no types
    """Texts with Unicode's own line breaks go in double quotes, where they are escapes: in other
    quotes a break reads back as a blank."""

    def represent_str(self, data: str) -> ScalarNode:
        style = '"' if any(mark in data for mark in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(str, _Representer.represent_str)


def to_yaml(data: Data) -> str:
    """YAML text, in block style, that `compose` reads back as the same values."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 10_000
    yaml.Representer = _Representer
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()
