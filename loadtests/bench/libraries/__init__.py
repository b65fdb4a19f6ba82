"""What a patched library costs and whether it yields: measured in a process of its own for each way of patching.

measure.py   that process        offloading.py  the same for calls on native threads
drivers.py   the operations      servers.py     what they are made on
ticker.py    how long the hub stood still
"""
