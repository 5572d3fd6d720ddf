"""Several datasets as one produced set; the stage itself is in stages/mix.py.

recipe      the recipe of a mix
run         every part made or found, then mixed and written
files       over plain files of the published layout
manifest    what the result records of its parts
words       how cards, summaries and reports say it
"""
