"""Every duty of the background work, with how often it is done."""

from app.jobs import Duty

DUTIES: tuple[Duty, ...] = ()
