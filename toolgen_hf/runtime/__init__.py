"""What runs a stage, and what a run keeps.

door       between rows and models: replay, generate, rehearse
runner     a stage over a dataset: MapRunner, Rehearsal
store      every generated text, on disk before it is used
cache      outputs of stages, by fingerprint
budget     progress bars and the limit on cost
plan       what a dry run finds
workspace  cache, store, runner and log of one run
summary    what a run did, as plain data
"""
