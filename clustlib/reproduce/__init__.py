"""Running the book: one notebook, or all of them and the HTML.

``python -m clustlib.reproduce --help`` lists the commands; the Makefile calls them.
"""
