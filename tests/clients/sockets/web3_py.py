"""What a back end with web3.py does over a socket: python web3_py.py WS-URL

Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil that mines
with each transaction.
"""

import asyncio
import signal
import sys

from web3 import AsyncWeb3, WebSocketProvider

# anvil's first account, known to everyone.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER = AsyncWeb3.to_checksum_address("0x00000000000000000000000000000000000000d4")

# Ends the process if it takes longer than a minute.
signal.alarm(60)


async def main(url: str) -> None:
    async with AsyncWeb3(WebSocketProvider(url, max_connection_retries=1)) as web3:
        account = web3.eth.account.from_key(KEY)
        assert await web3.eth.get_balance(account.address) > AsyncWeb3.to_wei(1, "ether")
        subscription = await web3.eth.subscribe("newHeads")
        transaction = {
            "from": account.address,
            "to": OTHER,
            "value": 7,
            "nonce": await web3.eth.get_transaction_count(account.address),
            "chainId": await web3.eth.chain_id,
            "gas": 200_000,
            "maxFeePerGas": await web3.eth.gas_price * 2,
            "maxPriorityFeePerGas": 1_000_000_000,
        }
        signed = account.sign_transaction(transaction)
        sent = await web3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = await web3.eth.wait_for_transaction_receipt(sent, timeout=20)
        assert receipt["status"] == 1
        async for news in web3.socket.process_subscriptions():
            assert news["subscription"] == subscription
            if news["result"]["number"] == receipt["blockNumber"]:
                break
        assert await web3.eth.unsubscribe(subscription)
        many = await asyncio.gather(*(web3.eth.get_balance(OTHER) for _ in range(60)))
        assert many == [7] * 60
        async with web3.batch_requests() as batch:
            batch.add(web3.eth.get_balance(OTHER))
            batch.add(web3.eth.get_block(receipt["blockNumber"]))
            balance, block = await batch.async_execute()
        assert balance == 7
        assert block["hash"] == receipt["blockHash"]
    print("ok")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
