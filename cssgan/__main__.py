"""`python -m cssgan`."""

from cssgan.cli.app import main

main()
