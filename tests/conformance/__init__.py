"""Other people's suites, each run by one command; what they need is installed by it, outside the repository."""
