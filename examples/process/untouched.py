"""A script that knows nothing of Dray: DRAY_AUTO_INIT=1 python untouched.py --lr 0.3.

So do `python -m dray untouched.py --lr 0.3` and `dray run --local untouched.py -- --lr 0.3`.
"""

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
options = parser.parse_args()
print("trained with", options.lr)
