"""The two tables of the Tasks pane."""

from __future__ import annotations

from typing import Any

from tui_lab.tui.widgets.table.table import FrameTable


class TaskTableView(FrameTable):
    """The tasks. What is copied is asked by the pane."""

    class CopyAsked(FrameTable.TableMessage):
        """`y`."""

    def keys_in_sight(self) -> list[Any]:
        """The tasks in sight."""
        top = self.scroll_offset.y
        if self.key is None or self.key not in self.frame.columns:
            return []
        return self.frame[self.key][top : top + self.size.height].to_list()

    def action_copy_cell(self) -> None:
        self.post_message(self.CopyAsked(self))

    def copy_cell(self) -> None:
        super().action_copy_cell()


class GroupTable(FrameTable):
    """Groups of tasks."""
