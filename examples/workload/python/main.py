"""Calls an API again and again with the key of a mounted Secret:
python3 examples/workload/python/main.py <directory of the Secret> [<URL>]"""

import sys
import time
import urllib.error

from apikey import MountedKey, open_with_key

directory, url = (sys.argv[1:] + ["http://127.0.0.1:8090/v1/subscribers"])[:2]
key = MountedKey(directory, max_age=1.0)

while True:
    try:
        with open_with_key(key, url) as answer:
            print("allowed", answer.read().decode(), flush=True)
    except urllib.error.HTTPError as error:
        print("refused", error.read().decode(), flush=True)
    time.sleep(0.2)
