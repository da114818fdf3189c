"""`tui-lab schema`: the JSON Schema of experiment.yaml, for editors; or its reference, for people."""

from __future__ import annotations

import json

from tui_lab.cli.main import DONE
from tui_lab.cli.options import Parser, add_common, examples


def main(arguments: list[str]) -> int:
    parser = Parser(
        "schema",
        description="Print the JSON Schema of experiment.yaml. "
        "Save it, and name it in the file's first line:\n"
        "  # yaml-language-server: $schema=./experiment.schema.json",
        epilog=examples(
            ("tui-lab schema > experiment.schema.json", "for an editor"),
            ("tui-lab schema --reference", "every key, for people"),
        ),
    )
    parser.add_argument("--reference", action="store_true", help="print every key and its meaning, as Markdown")
    add_common(parser)
    args = parser.parse_args(arguments)

    from tui_lab.spec.schema import json_schema, reference

    print(reference() if args.reference else json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return DONE
