"""Engines whose client is a library, such as Dask: the library lives in a process of its own, the bridge, and never in
our engine.

```text
engine   supply.py, client.py: asks for leases, and has a channel to each agent
   |       frames over the standard streams of the bridge (frames.py)
bridge   server.py, and the back end: one process for a cluster, with the library's client
   |       the library's own connections
worker   holder.py, which travels there: holds an agent on a leash, and passes bytes
```

A bridge keeps nothing that another one could not find again: it ends with its standard input, at any time.
"""
