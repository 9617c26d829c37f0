"""advise"""

from argparse import Namespace


def advise_command(options: Namespace) -> int:
    return 0
