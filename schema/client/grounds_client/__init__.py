"""The package for programs that query a Grounds gateway: contract checks, and verification of webhooks.

The gateway installs this package and uses the same modules; this package does not import the gateway.
"""
