def stored(field: str) -> str:
    return f"the {field}"
