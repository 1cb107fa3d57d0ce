"""What the tests of every room share: pytest's own harness for the tests of the plugin."""

pytest_plugins = ["pytester", "tests.features"]
