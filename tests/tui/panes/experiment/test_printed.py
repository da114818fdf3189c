"""What the last task printed, and where the numbers stand in it that are offered."""

from __future__ import annotations

from pathlib import Path

from tests.results.conftest import LabOnDisk
from tui_lab.tui.panes.experiment.outputs_panel import marked
from tui_lab.tui.panes.experiment.printed import LONGEST, MOST, Printed, printed
from tui_lab.tui.panes.experiment.trial import Outputs

FILE = "name: grid\ncommand: ./run {x}\nparameters: {x: [1, 2, 3]}\n"


def test_the_end_of_outputs_is_shown_with_its_numbers_marked(tmp_path: Path) -> None:
    disk = LabOnDisk(tmp_path)
    folder = disk.submit(FILE)
    outputs, path = Outputs(), tmp_path / "grid.yaml"
    nothing = printed(disk.lab, path, FILE, outputs, Printed())
    assert nothing.task is None and "no task of grid has ended yet" not in nothing.offered.message
    for task in (0, 1):
        steps = "".join(f"epoch {i}  loss: {task}.{i}\n" for i in range(300))
        stdout = f"{steps}{'x' * 5000}\n[bold]acc[/]\x1b[31m = 9{task} %\n"
        attempt = disk.start(folder, task, {"stdout": stdout, "stderr": "[red]slow\tdisk\x07\nrss: 7\n"})
        disk.finish(folder, task, attempt)
    shown = printed(disk.lab, path, FILE, outputs, nothing)
    assert shown.task == (1, 1) and len(shown.lines) == MOST and shown.errors == 2
    assert max(map(len, shown.lines)) == LONGEST
    found = {
        offer.name: [shown.lines[place.line][slice(*place.value)] for place in places]
        for offer, places in zip(shown.offered.offers, shown.places, strict=True)
    }
    assert found["loss"][-1] == "1.299" and len(found["loss"]) == MOST - 4 and found["rss"] == ["7"]
    text = marked(shown, [offer.name for offer in shown.offered.offers].index("loss"))
    assert (
        "… the last 200 lines" in text.plain
        and "stderr:\n[red]slow disk\N{REPLACEMENT CHARACTER}\nrss: 7" in text.plain
    )
    assert "[bold]acc[/] = 91 %" in text.plain
    assert [text.plain[span.start : span.end] for span in text.spans if span.style == "reverse"] == ["1.299"]
    # Nothing is read again until there is another task, or another metric; a text that is no YAML changes nothing.
    assert printed(disk.lab, path, FILE, outputs, shown) is shown
    assert printed(disk.lab, path, "a: [", outputs, shown) is shown
    fewer = printed(disk.lab, path, f"{FILE}metrics: {{loss: 'loss: (@float@)'}}\n", outputs, shown)
    assert {offer.name for offer in fewer.offered.offers} == found.keys() - {"loss"}
