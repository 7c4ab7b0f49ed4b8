FIELDS = ("id", "text")
