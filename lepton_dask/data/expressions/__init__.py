"""Expressions over the columns of a table: a closed subset of SQL's scalar expressions.

`parse` makes a tree of a text, `check` types it against a table's columns, and `on_arrow` or
`on_numpy` evaluates it. All but `on_arrow` leaves with a model and needs numpy alone.
"""
