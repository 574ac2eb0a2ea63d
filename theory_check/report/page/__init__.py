"""The report: one page of every claim and comparison, to be read in a browser without a network."""
