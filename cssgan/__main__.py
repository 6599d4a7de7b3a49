"""`python -m cssgan`."""

from cssgan.cli import main

main()
