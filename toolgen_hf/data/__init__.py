"""Files in and out.

tables     any file of rows, one table a stage
published  the published layout
export     the JSON exports of a result
produced   a produced directory, read and checked
manifest   its manifest as typed values
"""
