"""The actions of the app, which every pane has."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.panes import NAMES, digit, title

# --- What can be done wherever one is on the screen
ACTIONS: Final = (
    *(
        Action(
            f"app.{name}", f"{digit(name)},alt+{digit(name)}", title(name), f"Open the {title(name)} pane.",
            shown=False, call=f"show_pane('{name}')", leads_away=True,
        )
        for name in NAMES
    ),
    Action("app.choose_experiment", "E,f3", "Experiments", "Choose the experiment to look at.", shown=False),
    Action("app.pause", "P", "Pause", "Pause the experiment: nothing more of it starts. Again: it goes on.",
           shown=False, call="control('pausing')"),
    Action("app.stop", "X", "Stop", "Stop the experiment, or all that run: it says what is lost, and asks.",
           shown=False, call="control('stopping')"),
    Action("app.priority", "O", "Priority", "Let the experiment go before others, or behind them.", shown=False,
           call="control('priority')"),
    Action("app.drain", "D", "Drain node", "Give a node no more tasks, running ones may finish. Again: it gets tasks.",
           shown=False, call="control('draining')"),
    Action("app.more_slots", "greater_than_sign", "+1 slot", "One slot more for a node.", shown=False,
           call="control('slots', 1)"),
    Action("app.fewer_slots", "less_than_sign", "-1 slot", "One slot less for a node; running tasks may finish.",
           shown=False, call="control('slots', -1)"),
    Action("app.undo", "U", "Undo", "Undo the last of these: pause, stop, priority, slots, drained nodes.",
           shown=False, call="control('undo')"),
    Action("app.start_engine", "f6", "Start engine", "Start another engine if one died: the run goes on.",
           shown=False),
    Action("app.arrange", "vertical_line", "Arrange", "Arrange the panels otherwise: beside or below each other.",
           shown=False),
    Action("app.enlarge", "plus,equals_sign", "Enlarge", "Enlarge the panel with the focus; twice: it alone.",
           shown=False, call="enlarge(1)"),
    Action("app.shrink", "minus,underscore", "Shrink", "Shrink the panel again.", shown=False, call="enlarge(-1)"),
    Action("app.theme", "ctrl+t", "Theme", "Next theme: dark, light, the terminal's own colours.", shown=False,
           call="next_theme"),
    Action("app.screenshot", "f12", "Screenshot", "Write a picture of the screen (SVG) into the lab's folder.",
           shown=False, call="write_screenshot"),
    Action("app.leave_text", "escape", "Leave text", "Leave a text field: the keys without ctrl act again. "
           "Elsewhere: go back to where you came from.", listed=False),
    Action("app.back", "alt+left", "Back", "Go back to where you came from, with what was shown there.", shown=False,
           call="go_back"),
    Action("app.forward", "alt+right", "Forward", "Go where you were before going back.", shown=False,
           call="go_forward"),
    Action("app.jump", "J", "Jump", "Put a letter on each panel: the next key goes there.", shown=False),
    Action("app.jump_in_text", "ctrl+g", "Jump", "The same, also from within a text field.", shown=False, call="jump",
           listed=False, priority=True),
    Action("app.help", "question_mark,f1", "Help", "Explain this pane, and list every key.", call="show_help"),
    Action("app.commands", "ctrl+p", "Commands", "Find any action by its name.", listed=False, priority=True,
           call="command_palette"),
    Action("app.command_line", "colon", "Command line", "Type a command: any action, pane, or command of tui-lab.",
           shown=False, listed=False),
    Action("app.redraw", "ctrl+l", "Redraw", "Paint the whole screen again, after another program wrote on it.",
           shown=False),
    Action("app.suspend", "ctrl+z", "Suspend", "Go back to the shell; `fg` brings the screen back. The run goes on.",
           shown=False, call="suspend_process"),
    Action("app.leave", "q", "Leave", "Leave the screen. The run goes on.", leads_away=True),
)  # fmt: skip
