"""One file per quantity; each defines a ``WorstCase``."""
