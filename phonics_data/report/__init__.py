"""Reports on a finished dataset: HTML page (`page`), tables (`stats`), integrity check (`verify`) and `repair`."""

from phonics_data.report.page import write_report

__all__ = ["write_report"]
