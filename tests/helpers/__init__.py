"""Problem generators, naive reference computations and statistics shared by the tests."""
