"""The one error of this package."""


class DataDirectoryError(Exception):
    """The directory cannot be used, or not any more. The text names it and says why."""
