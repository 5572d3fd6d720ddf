"""What a run keeps and counts.

workspace  cache, store and log of one run
texts      the texts that a stage needs of one generator
store      every generated text, durable
turns      several runs over one store
budget     progress bars and the limit on cost
plan       what a dry run finds
summary    what a run did, as plain data
"""
