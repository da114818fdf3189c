"""Steps that an earlier attempt has done: their outputs become the beginning of those of the attempt that goes on.

So the files of an attempt hold what all steps of its task have printed, and readers need no others. Named steps have
files of their own: these get a second name (a hard link). What steps share, which is the outputs of unnamed steps and
the live metrics, is copied as far as the done steps have written."""

import os

from tui_lab.engine.agent.attempt import METRICS, Attempt
from tui_lab.engine.agent.text import encode
from tui_lab.portable.beneath import Folder

CHUNK = 1 << 20
MOST = 1 << 30  # bytes that are copied: more would keep the agent from its other work


def measure(attempt: Attempt):
    """Return the facts of the current step that has just ended, with the sizes of its outputs and of the live metrics
    in bytes; None where its files are not known, because an earlier version of the agent began it."""
    if not attempt.names:
        return None
    sizes = [0, 0, 0]
    try:
        with attempt.open_folder() as folder:
            names = attempt.output_files(attempt.names[attempt.step]) + [encode(attempt.file(METRICS))]
            for place, name in enumerate(names):
                try:
                    sizes[place] = folder.facts(name).st_size
                except OSError:
                    pass
    except OSError:
        pass
    cpu_time, peak_rss = attempt.step_usage or [None, None]
    return {"attempt": attempt.message["attempt"], "sizes": sizes, "cpu_time": cpu_time, "peak_rss": peak_rss}


def take_over(attempt: Attempt, folder: Folder) -> bool:
    """Give an attempt the outputs of the steps that it does not run. Return False where they are not in the folder.

    Raises OSError where they can't be written."""
    resume = attempt.message["resume"]
    pairs = []  # name in the earlier attempt, name in this one, bytes that are copied or None for a link
    whole = []  # the names, and the bytes that they must have at least
    for step, end in enumerate(resume["ends"]):
        name = attempt.names[step]
        old, new = attempt.output_files(name, resume["attempt"]), attempt.output_files(name)
        if name is not None:
            pairs += [(one, other, None) for one, other in zip(old, new)]
        elif step == attempt.first_step - 1:
            pairs += list(zip(old, new, end["sizes"]))
        whole += list(zip(old, end["sizes"]))
    metrics = end["sizes"][2]
    if metrics:
        pairs.append((encode(attempt.file(METRICS, resume["attempt"])), encode(attempt.file(METRICS)), metrics))
        whole.append((pairs[-1][0], metrics))
    if not all(has_at_least(folder, name, size) for name, size in whole) or sum(pair[2] or 0 for pair in pairs) > MOST:
        return False
    for old, new, size in pairs:
        if size is None:
            link(folder, old, new)
        else:
            copy(folder, old, new, size)
    return True


def remove_staged(attempt: Attempt, folder: Folder) -> None:
    """Remove the outputs of the earlier attempt, where they were brought for the steps that it has done alone."""
    if not attempt.message.get("collect"):
        return
    number = attempt.message["resume"]["attempt"]
    names = [name for step in attempt.names for name in attempt.output_files(step, number)]
    for name in names + [encode(attempt.file(METRICS, number))]:
        try:
            folder.unlink(name)
        except OSError:
            pass


def has_at_least(folder: Folder, name: bytes, size: int) -> bool:
    """Return whether a folder has a plain file of at least so many bytes."""
    try:
        file = folder.read(name)
    except OSError:
        return False
    try:
        return os.fstat(file).st_size >= size
    finally:
        os.close(file)


def link(folder: Folder, old: bytes, new: bytes) -> None:
    """Give a file a second name; copy it where the file system has no hard links."""
    folder.clear(new, plain=True)
    at = folder.descriptor
    try:
        os.link(old, new, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
    except OSError:
        copy(folder, old, new, folder.facts(old).st_size)


def copy(folder: Folder, old: bytes, new: bytes, size: int) -> None:
    """Copy the first bytes of a file into a new one. Raises OSError."""
    source = folder.read(old)
    try:
        target = folder.create(new, append=True)
        try:
            while size > 0:
                data = os.read(source, min(CHUNK, size))
                if not data:
                    break
                size -= len(data)
                while data:
                    data = data[os.write(target, data) :]
        finally:
            os.close(target)
    finally:
        os.close(source)
