import asyncio
import os
import sys
from datetime import UTC, date, datetime

from gateway_client import Client


async def main(url: str) -> None:
    count, after = 0, None
    async with Client(url, headers={"Authorization": f"Bearer {os.environ['GROUNDS_TOKEN']}"}) as client:
        while True:
            page = (await client.pull(first=100, after=after)).trainable_content
            for item in page.nodes:
                month: date = item.created_month
                decided: datetime = item.reason.decided_at
                assert month <= decided.date() <= datetime.now(UTC).date(), item.reason.receipt
                count += len(item.text) >= 0
            if not page.page_info.has_next_page:
                break
            after = page.page_info.end_cursor
    print(count)


asyncio.run(main(sys.argv[1]))
