"""Files in and out.

tables     reads and writes tables of rows, and keeps the rows of an output in mode a
export     writes the JSON exports of a result
produced   opens and checks a produced directory
manifest   its manifest as typed values
"""
