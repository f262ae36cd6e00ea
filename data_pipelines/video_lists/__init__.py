"""Lists of captioned videos as they are distributed: one reader of each, for training and tests.

A reader takes the path of a list and ``Skips``, and yields a ``ListedVideo`` for each name in the
order of the list; what is broken in a list is counted. ``VideoFiles`` finds the files.
"""
