"""Expressions over the columns of a table: a closed subset of SQL's scalar expressions.

From a text to a tree that knows where its parts stand:

    tokens        words, numbers, texts and signs
    parse, tree   precedence climbing, and the nodes that it makes
    errors        what is wrong, and at which character

From there to one that is checked against a table's columns:

    check         the way in: `check(text, schema)`
    checker       names, types and windows, from the leaves up; all mistakes at once
    kinds         which types go together, and what to do where they do not
    calls, window_calls   what functions are given
    awkward       columns whose names need double quotes
    typed         the tree that comes out: columns, constants, operations, windows

What its operations mean:

    functions     every function: what it takes, gives and does
    operators     arithmetic, comparisons and SQL's logic
    kernels, texts, moments   what both are made of, in numpy
    on_numpy      evaluation in a model
    on_arrow      evaluation on chunks, to the same results

And the windows:

    ordering      rows by group and order
    windows       lags and rolling statistics along it
    reach         how far they look, and so which rows a later chunk needs

All but `on_arrow` leaves with a model and needs numpy alone. A chunk's windows over the borders of
the chunks are `data/windowed.py`'s.
"""
