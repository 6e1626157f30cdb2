"""A page that shows a training: one HTML file that needs no network, to look at or to send.

``snnfp report RUN`` writes it of a run folder, ``snnfp report --compare A B`` of two, side by side.
In Python a :class:`Subject` is what a page is about, be it a folder that :func:`read_run` read or a
network of your own, and :func:`write_report` writes the page.
"""

from snnfp.report.run_folder import read_run
from snnfp.report.subject import Subject
from snnfp.report.write import write_report

__all__ = ["Subject", "read_run", "write_report"]
