"""The paper's comparison of models: list the runs, train and evaluate them, write the tables."""
