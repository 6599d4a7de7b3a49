"""The paper's comparison, end to end: which runs (`plan`), doing them (`queue`), and what they say (`report`)."""
