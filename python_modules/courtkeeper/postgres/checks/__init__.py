"""The checks. One folder for each group; one check is a pair of files in it, `<name>.sql` and `<name>.py`.

The `.sql` returns one row for each thing that may be wrong, the class in the `.py` says what a row holds,
which limits there are and from where, and turns rows into findings. Where a server version needs another
statement, `<name>.pg17.sql` is taken from version 17 on. Limits are psql variables: `:warn`, `:crit`.
"""
