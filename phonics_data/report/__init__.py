"""What can be said about a finished dataset: its page for people (`page`), and whether it is whole (`verify`)."""

from phonics_data.report.page import write_report

__all__ = ["write_report"]
