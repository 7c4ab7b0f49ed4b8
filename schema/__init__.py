"""The API: its types, who may read what, and how a page is answered fast."""
