"""The tests of lakes need the extra `lake`: ./run --with release,lake pytest. Without it they are not collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if all(map(find_spec, ("duckdb", "pyarrow", "sqlglot"))) else ["test_*.py"]
