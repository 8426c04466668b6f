"""What a back end with web3.py does, against the endpoint given: python web3_py.py URL

Prints `ok` last and exits with 0; anything else is a failure. The node must be anvil.
"""

import signal
import sys

from web3 import Web3

# anvil's first account, known to everyone.
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER = Web3.to_checksum_address("0x00000000000000000000000000000000000000cc")
# Answers 42 to every call: PUSH 42, MSTORE, RETURN, behind a constructor that copies it.
FORTY_TWO = "0x600a600c600039600a6000f3602a60005260206000f3"

# Ends the process if it takes longer than a minute.
signal.alarm(60)


def main(url: str) -> None:
    web3 = Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": 20}, exception_retry_configuration=None))
    account = web3.eth.account.from_key(KEY)
    assert web3.eth.get_balance(account.address) > Web3.to_wei(1, "ether")

    def send(transaction: dict):
        transaction |= {
            "from": account.address,
            "nonce": web3.eth.get_transaction_count(account.address),
            "chainId": web3.eth.chain_id,
            "gas": 200_000,
            "maxFeePerGas": web3.eth.gas_price * 2,
            "maxPriorityFeePerGas": 1_000_000_000,
        }
        signed = account.sign_transaction(transaction)
        sent = web3.eth.send_raw_transaction(signed.raw_transaction)
        receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=20)
        assert receipt["status"] == 1 and receipt["transactionHash"] == sent
        return receipt

    contract = send({"data": FORTY_TWO, "value": 0})["contractAddress"]
    assert int.from_bytes(web3.eth.call({"to": contract}), "big") == 42

    before = web3.eth.get_balance(OTHER)
    receipt = send({"to": OTHER, "value": 7})
    assert web3.eth.get_balance(OTHER) == before + 7

    with web3.batch_requests() as batch:
        batch.add(web3.eth.get_balance(OTHER))
        batch.add(web3.eth.get_block(receipt["blockNumber"]))
        batch.add(web3.eth.get_transaction_receipt(receipt["transactionHash"]))
        balance, block, again = batch.execute()
    assert balance == before + 7
    assert block["hash"] == receipt["blockHash"]
    assert again["transactionHash"] == receipt["transactionHash"]
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1])
