"""Tables and columns of a lab as a tree; columns are read when a table is unfolded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from tui_lab.results.sql.database import Database
from tui_lab.results.sql.schema import schema
from tui_lab.results.sql.text import quoted
from tui_lab.store.lab import Lab
from tui_lab.tui.base.problem import Problem
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.query.completion import Catalog, ColumnFacts


def tables(lab: Lab, current: str | None) -> dict[str, str]:
    """Return every table, with its experiment; those of the current experiment first."""
    names = lab.experiments()
    with Database(lab, current if current in names else None) as database:
        known = database.tables()
    owner = known.get("results", "")
    return dict(sorted(known.items(), key=lambda one: (one[1] != owner, one[0] == "results", one[0] == "nodes")))


def columns(lab: Lab, current: str | None, table: str) -> tuple[ColumnFacts, ...]:
    """Return the columns of a table. Raises QueryError, and what reading the lab raises."""
    with Database(lab, current if current in lab.experiments() else None) as database:
        rows = schema(database, table).rows(named=True)
    return tuple(ColumnFacts(r["column"], r["type"], r["kind"] or "", r["unit"] or "") for r in rows)


@dataclass(frozen=True)
class Place:
    """What a node of the tree is."""

    table: str
    column: str | None = None


@dataclass
class _TablesRead(Message):
    owners: Mapping[str, str]


@dataclass
class _ColumnsRead(Message):
    table: str
    columns: tuple[ColumnFacts, ...]


class SchemaTree(Tree[Place]):
    """Enter writes the name under the cursor into the query; space, left and right open and close.

    `catalog` holds what is known by now, `owners` the experiment that each table belongs to.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
        Binding("right,l", "unfold", show=False),
        Binding("left,h", "fold", show=False),
    ]
    DEFAULT_CSS = """
    SchemaTree {
        padding: 0;
        background: $surface;
        scrollbar-size: 1 1;
    }
    """

    class CatalogChanged(Message):
        """More is known of tables or columns."""

    class Unreadable(Message):
        """The tables can't be listed."""

        def __init__(self, problem: Problem) -> None:
            super().__init__()
            self.problem = problem

    class Named(Message):
        """A name to write into the query."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("tables", id=id)
        self.show_root = False
        self.auto_expand = False
        self.guide_depth = 2
        self.catalog = Catalog()
        self.owners: Mapping[str, str] = {}
        self._at: dict[str, TreeNode[Place]] = {}
        self._lab: Lab | None = None
        self._current: str | None = None
        self._reading: set[str] = set()

    # --- Reading

    def read_tables(self, lab: Lab, current: str | None) -> None:
        """List the tables of a lab anew. Columns are read for those that are open or wanted."""
        self._lab, self._current = lab, current
        self._list(lab, current)

    @work(thread=True, group="schema-tables", exclusive=True)
    def _list(self, lab: Lab, current: str | None) -> None:
        try:
            deliver(self, self.post_message, _TablesRead(tables(lab, current)))
        except Exception as error:  # noqa: BLE001 - said where the answer would be
            deliver(self, self.post_message, self.Unreadable(Problem.of(error)))

    @on(_TablesRead)
    def _listed(self, event: _TablesRead) -> None:
        event.stop()
        self.owners = event.owners
        self.catalog = Catalog(dict.fromkeys(event.owners))
        self._reading.clear()
        owner = event.owners.get("results", "")
        self.show_tables(list(event.owners), {"results": f"= {owner}"} if owner else {})
        self.post_message(self.CatalogChanged())
        self.want(owner)
        self.want(*(name for name, node in self._at.items() if node.is_expanded))
        if owner:
            self._at[owner].expand()

    def want(self, *names: str) -> None:
        """Read the columns of tables, where they are not known."""
        for table in names:
            if self.catalog.tables.get(table, ()) is None and table not in self._reading and self._lab is not None:
                self._reading.add(table)
                self._read(self._lab, self._current, table)

    @work(thread=True, group="schema-columns")
    def _read(self, lab: Lab, current: str | None, table: str) -> None:
        try:
            found = columns(lab, current, table)
        except Exception:  # noqa: BLE001 - a query of the table says what is wrong
            found = ()
        self.post_message(_ColumnsRead(table, found))

    @on(_ColumnsRead)
    def _have_columns(self, event: _ColumnsRead) -> None:
        event.stop()
        found = dict(self.catalog.tables)
        if event.table not in found:
            return
        found[event.table] = event.columns
        owner = self.owners.get("results", "")
        twin = {owner: "results", "results": owner}.get(event.table, "")  # two names of one table
        if twin in found:
            found[twin] = event.columns
        self.catalog = Catalog(found)
        self._show_columns()
        self.post_message(self.CatalogChanged())

    # --- Showing

    def show_tables(self, found: Sequence[str], about: dict[str, str]) -> None:
        """Show these tables, in this order; open ones stay open."""
        if list(self._at) == list(found):
            for name, node in self._at.items():
                node.set_label(_table_label(name, about.get(name, "")))
            return
        opened = {name for name, node in self._at.items() if node.is_expanded}
        kept = {name: [(n.label, n.data) for n in node.children] for name, node in self._at.items()}
        self.root.remove_children()
        self._at = {}
        for name in found:
            node = self.root.add(_table_label(name, about.get(name, "")), Place(name), expand=name in opened)
            for label, data in kept.get(name, []):
                node.add_leaf(label, data)
            self._at[name] = node
        self.root.expand()
        if self.cursor_line < 0 and found:
            self.cursor_line = 0

    def _show_columns(self) -> None:
        for name, node in self._at.items():
            known = self.catalog.tables.get(name)
            if known is None or [n.data.column for n in node.children if n.data] == [one.name for one in known]:
                continue
            node.remove_children()
            for column in known:
                node.add_leaf(_column_label(column), Place(name, column.name))

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Place]) -> None:
        event.stop()
        if event.node.data is not None:
            self.want(event.node.data.table)

    def on_tree_node_selected(self, event: Tree.NodeSelected[Place]) -> None:
        event.stop()
        place = event.node.data
        if place is not None:
            self.post_message(self.Named(quoted(place.table if place.column is None else place.column)))

    def action_unfold(self) -> None:
        node = self.cursor_node
        if node is not None and node.allow_expand and not node.is_expanded:
            node.expand()
        else:
            self.action_cursor_down()

    def action_fold(self) -> None:
        node = self.cursor_node
        if node is None:
            return
        if node.allow_expand and node.is_expanded:
            node.collapse()
        elif node.parent is not None and not node.parent.is_root:
            self.move_cursor(node.parent)


def _table_label(name: str, about: str) -> Text:
    text = Text(name, style="bold")
    if about:
        text.append(f" {about}", style="not bold dim")
    return text


def _column_label(column: ColumnFacts) -> Text:
    text = Text(
        column.name, style="italic" if column.kind == "parameter" else "bold" if column.kind == "metric" else ""
    )
    text.append(f" {column.short_type}", style="not bold not italic dim")
    if column.unit:
        text.append(f" [{column.unit}]", style="not bold not italic dim")
    return text
