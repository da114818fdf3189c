from tests.nodes.echo import echo
from tests.nodes.fleet import fleet, shared_fleet

__all__ = ["echo", "fleet", "shared_fleet"]
