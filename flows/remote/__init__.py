"""Homes at an address: an object store behind fsspec holds what a home holds, and this machine a working copy of it.

    <home>/warehouse/current.json                  which snapshot is current, and who writes now: one object
    <home>/warehouse/snapshots/<id>/               as in any home; a table that did not change lies with an older one
    <home>/warehouse/current/<table>.parquet       copies of the current tables, each with the snapshot's id in its
                                                   metadata
    <home>/raw, parsed, runs, warehouse/...        as in any home

`store` reads and writes objects, each write with a condition; `lease` keeps other writers away and moves the pointer;
`copy`, `pull` and `push` bring the working copy and the store together; `session` is what the pipeline calls.
"""
