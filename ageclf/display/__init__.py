"""What people see in a notebook: figures, tables, panels for a live notebook, and the numbers of the model card. All
take data and return an Axes, Figure, DataFrame, widget or text. Whatever a colour shows, a marker, hatch or line style
shows too.
"""
