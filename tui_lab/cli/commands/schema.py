"""`tui-lab schema`: the JSON Schema of experiment.yaml or cluster.yaml, for editors; or its reference."""

from __future__ import annotations

import json

from tui_lab.cli.options import Parser, add_common, examples
from tui_lab.client.exit_status import DONE


def main(arguments: list[str]) -> int:
    """Run `tui-lab schema`; return the exit status."""
    parser = Parser(
        "schema",
        description="Print the JSON Schema of experiment.yaml, or of cluster.yaml. "
        "Save it, and name it in the file's first line:\n"
        "  # yaml-language-server: $schema=./experiment.schema.json",
        epilog=examples(
            ("tui-lab schema > experiment.schema.json", "for an editor"),
            ("tui-lab schema --reference", "every key and its meaning"),
            ("tui-lab schema --cluster --reference", "every key of cluster.yaml"),
        ),
    )
    parser.add_argument("--reference", action="store_true", help="print every key and its meaning, as Markdown")
    parser.add_argument("--cluster", action="store_true", help="the schema of cluster.yaml")
    add_common(parser)
    args = parser.parse_args(arguments)

    if args.cluster:
        from tui_lab.experiment.cluster.schema import cluster_json_schema as json_schema
        from tui_lab.experiment.cluster.schema import cluster_reference as reference
    else:
        from tui_lab.experiment.schema import json_schema, reference
    print(reference() if args.reference else json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return DONE
