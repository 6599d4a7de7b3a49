"""A video's whole evidence on one picture: what is heard, what is seen, and which segments came of it.

`gather` reads what the stages left in the workspace, `why` names the sign that each boundary lies on, `draw` makes
pictures of it, `page` a page that needs nothing else.
"""

from phonics_data.show.page import show

__all__ = ["show"]
