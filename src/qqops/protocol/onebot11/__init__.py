"""OneBot v11: JSON frames ↔ the model. Pure. Facts: the written standard of 2022 and how its implementations differ.

Everything that comes in is taken with tolerance, by field: an implementation that says a number as a string, leaves a
field out or adds one loses nothing but that field.
"""
