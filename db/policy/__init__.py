"""The rules: which conditions there are, which grounds need them, what a policy may choose, and how it becomes SQL."""
