"""The rules: the conditions, the grounds that require them, the policy document, and the compilation to SQL."""
