"""The first operator of an installation on AWS: `python -m maypacs.access add-operator USER --table NAME`.

Run by whoever may write the accounts table. The operator does the rest through the console: archives, users, keys. On a
node the command `maypacs` does all of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from maypacs.access.accounts import add_user, set_password
from maypacs.access.principals import Role
from maypacs.errors import MayPACSError
from maypacs.index.dynamodb_table import DynamoDBTable


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m maypacs.access", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("add-operator", "make a user an operator; prints the password of a new one"),
        ("reset-password", "give a user a new password, which ends the user's sessions"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("user")
        command.add_argument("--table", required=True, help="output AccountsTable of the data stack")
        command.add_argument("--endpoint", help="another DynamoDB-compatible engine")
    given = parser.parse_args(arguments)
    table = DynamoDBTable(given.table, endpoint=given.endpoint)
    try:
        if given.command == "add-operator":
            password = add_user(table, given.user, role=Role.OPERATOR).password
        else:
            password = set_password(table, given.user)
    except MayPACSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"password: {password}\n" if password else "operator; the password stays as it was\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
