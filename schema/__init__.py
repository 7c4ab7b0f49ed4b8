"""The GraphQL API: its types, the roles that may read each field, and the fast answer of a page."""
