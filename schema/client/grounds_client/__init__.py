"""The package for programs that query a Grounds gateway: a client, contract checks, and verification of webhooks.

The gateway installs this package and uses the same modules; this package does not import the gateway.
"""

from grounds_client.client import Client
from grounds_client.connection import GatewayError
from grounds_client.reader import Item, ReceivedRetraction
from grounds_client.webhook import verify_webhook

__all__ = ["Client", "GatewayError", "Item", "ReceivedRetraction", "verify_webhook"]
