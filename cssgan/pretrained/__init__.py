"""Models that come with the package, each in a folder of its name, and the reader of exported folders."""
