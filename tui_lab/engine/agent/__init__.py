"""The agent: starts tasks on one node and outlives the engine and the connection to it.

Standard library only, Python 3.6 or newer, Linux. The package is sent over the channel to the node as one source text
(`tui_lab.engine.agent_bundle`), so nothing is installed there. `boot` runs it as a relay between standard input and
output and the agent's Unix socket, and starts the agent as a daemon where none is alive; or as a file server.

What the agent guarantees (see docs/protocol.md for the whole protocol):

- it never starts an attempt twice, and keeps an event in the ledger until the engine has acknowledged it;
- every program runs in a process group of its own, as a child of the shim, which outlives the agent and writes exit
  statuses to a file, so that a later agent can read them;
- it trusts a pid only together with the process start time and the machine's boot id.
"""

PROTOCOL = 2
SLOT_MARK = "@@tui-lab-slot@@"  # the agent replaces it by the slot's number
