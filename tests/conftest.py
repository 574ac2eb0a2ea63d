"""Makes ``helpers`` importable from every test: this directory is put on the path by its presence."""
