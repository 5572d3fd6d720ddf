"""What runs a stage, and what a run keeps.

door       between rows and models: replay, generate, rehearse
texts      the texts of one model: looked up, committed, counted
runner     a stage over a dataset: MapRunner, Rehearsal
ray_runner the same on Ray Data, over many processes and machines
store      every generated text, on disk before it is used: an SQLite file
postgres   the same in PostgreSQL, for several machines
stores     opens the store that a path or a URL names
cache      outputs of stages, by fingerprint
budget     progress bars and the limit on cost
plan       what a dry run finds
workspace  cache, store, runner and log of one run
summary    what a run did, as plain data
"""
