"""As viem.mjs, with web3.py 8: in a `for` over connections, as its documentation has it."""

import asyncio
import signal
import sys

from web3 import AsyncWeb3, WebSocketProvider

signal.alarm(60)


async def main(url: str) -> None:
    times = 0
    async for web3 in AsyncWeb3(WebSocketProvider(url)):
        try:
            await web3.eth.subscribe("newHeads")
            async for _ in web3.socket.process_subscriptions():
                times += 1
                break
            if times == 2:
                print("subscribes again", flush=True)
                return
            print("ready", flush=True)
            async for _ in web3.socket.process_subscriptions():
                pass
        except Exception as error:
            print(type(error).__name__, file=sys.stderr)


asyncio.run(main(sys.argv[1]))
