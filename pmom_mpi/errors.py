"""The one kind of error that a user can mend."""


class UserError(Exception):
    """Something the user wrote or chose cannot be used.

    The message is one line that names the file or key, the value and what would be right. Commands print it
    without a traceback and exit with status 2.
    """
