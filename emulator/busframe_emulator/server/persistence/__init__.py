"""Keeps what the engine holds in a directory, so that it survives the process. Loaded only where that is asked for.

The engine notes what was touched (`engine.changes`); a commit writes the present state of that, and nothing else:

    errors     the one error: the directory cannot be used
    layout     the file's tables, and the check that a file is one of ours and whole
    rows       records to rows, and back
    thread     the one thread that touches the file
    file       the contents: load all, write what changed
    store      the same as the event loop sees it
    journal    an engine with its store
    driver     holds back answers until what they tell of is on the disk
"""
