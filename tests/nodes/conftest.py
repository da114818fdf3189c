from tests.nodes.echo import echo
from tests.nodes.fleet import fleet

__all__ = ["echo", "fleet"]
