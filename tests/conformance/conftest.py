"""Other people's projects have suites of their own, which run in environments of their own."""

collect_ignore = ["consumers"]
