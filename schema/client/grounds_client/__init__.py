"""What programs that query a Grounds gateway install: contract checks, and verification of webhooks.

The gateway installs this package and uses the same modules; this package imports nothing of the gateway.
"""
