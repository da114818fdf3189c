"""The agent: starts tasks on one node and outlives the engine and the connection to it.

Standard library only, Python 3.6 or newer, Linux. The package travels over the channel to the node as one source
(`tui_lab.engine.agent_bundle`), so nothing is installed there. What `boot` makes of it: a relay between standard
input and output and the agent's Unix socket, which starts the agent as a daemon where none is alive; or a server of
files.

What the agent promises (docs/protocol.md is the whole text):

- an attempt that it has seen is never started twice; an event stays in the ledger until the engine acknowledges it;
- every program runs in a process group of its own, as a child of the shim, which outlives the agent and writes exit
  statuses to a file, so that a later agent can read them;
- a pid is believed only with its process start time and the machine's boot id.
"""

PROTOCOL = 2
SLOT_MARK = "@@tui-lab-slot@@"  # stands for the slot's number in what the engine sends
