"""One read with web3.py as it comes, against an endpoint that refuses: python web3_py.py URL"""

import signal
import sys

from web3 import HTTPProvider, Web3

signal.alarm(60)
try:
    Web3(HTTPProvider(sys.argv[1])).eth.get_balance("0x00000000000000000000000000000000000000AA")
    print("ANSWERED")
except Exception as error:  # whatever it is, it is what the user sees
    print(error)
