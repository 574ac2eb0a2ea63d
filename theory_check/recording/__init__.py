"""What is measured along a run: the columns of a trace, and when they are filled."""
