"""What the tests of every room share: pytest's own harness, and the table of features held to its word."""

# A pytest run inside this process drops what it imported first: without its httpcore, httpx maps no errors.
import httpcore  # noqa: F401
import httpcore2  # noqa: F401

pytest_plugins = ["pytester", "tests.features"]
