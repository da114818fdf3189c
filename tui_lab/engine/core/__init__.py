"""The scheduler as a pure state machine: events in, effects out.

`Scheduler.handle(event, now)` takes what has happened (`events`) and returns what is to be done (`effects`), in that
order. Nothing here reads a file, a socket or a clock; `tui_lab.engine.engine` does that, and
tests/engine/test_core_simulation.py runs the same code with nodes that are made up.
"""
