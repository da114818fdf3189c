from tests.engine.nodes.echo import echo
from tests.engine.nodes.fleet import fleet

__all__ = ["echo", "fleet"]
