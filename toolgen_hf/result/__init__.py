"""What a run gives: a dataset repository on disk, and what is said of it.

produced    the directory: written beside its place and swapped in whole
manifest    what was asked, with which models and versions, and what came of it
summary     what the run did, as plain data; screen prints it
counts      that every question is accounted for
figures     the numbers behind the plots; plots draws them for the card
"""
