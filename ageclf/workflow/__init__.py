"""What stands around the notebooks: run files and the parameters that they give, the order in which Snakemake executes
notebooks, and HTML pages of what came out. Notebooks are known here by name, by what they import and by the JSON that
they write; only the command line imports this folder.
"""
